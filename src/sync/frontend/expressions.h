// What an expression is below its syntax, and what its names are.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "clang/AST/DeclObjC.h"
#include "clang/AST/Expr.h"
#include "clang/AST/ExprObjC.h"

namespace cajal::sync::frontend {

template <std::size_t N>
bool is_one_of(std::string_view name, const std::array<std::string_view, N>& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// The object that a message or a method call is made on; null for other calls.
const clang::Expr* receiver_of(const clang::Expr* call);

/// "_loss" and "loss_" are the field that others call "loss".
std::string without_underscores(std::string name);

/// The expression below parentheses, casts, temporaries and property syntax.
const clang::Expr* bare(const clang::Expr* expression);

/// The variable or field that an expression names, if it names one.
const clang::ValueDecl* named_by(const clang::Expr* expression);

/// A name that is the same in all files of a program; empty where only one file can use it.
std::string symbol_of(const clang::Decl* declaration);

/// The method that a message runs: of the receiver's class when that is in view.
const clang::ObjCMethodDecl* method_of(const clang::ObjCMessageExpr* message);

/// The field behind a getter or setter that the compiler writes: the variable that a @synthesize
/// names, or the property's own name.
std::string field_of_accessor(const clang::ObjCMethodDecl* method);

bool is_null(const clang::Expr* expression, clang::ASTContext& context);

/// An offset, a tag in the low bits: the result may still be the operand's address.
bool keeps_address(const clang::BinaryOperator& binary);

/// The expression of pointer type that an integer was made from, if any.
const clang::Expr* pointer_inside(const clang::Expr* expression);

/// The first part of a selector, or the method's or function's name.
std::string name_of_call(const clang::Expr* call);

}  // namespace cajal::sync::frontend
