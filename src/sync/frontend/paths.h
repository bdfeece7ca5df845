// Names the memory behind an expression.
#pragma once

#include "clang/AST/DeclObjC.h"
#include "clang/AST/Expr.h"
#include "clang/AST/ExprObjC.h"
#include "sync/frontend/unit.h"

namespace cajal::sync::frontend {

class PathFinder {
 public:
  PathFinder(Unit& unit, int function, const clang::Decl* declaration)
      : unit_(unit), function_(function), declaration_(declaration) {}

  /// For a pointer, handle or container the memory that it stands for; for another lvalue the
  /// variable. Empty for numbers and literals. Choices give a temporary; `pending` gets what it may
  /// be.
  Path of(const clang::Expr* expression);
  Path of(const clang::ValueDecl* declaration, bool handle_context = false);

  /// The temporary that holds the value of a call.
  Path value_of(const clang::Expr* call, bool foreign) const;

  /// What a list puts into the members and elements of `whole`, as alias events.
  void fill(const Path& whole, const clang::InitListExpr& list);

  /// Alias events that resolving has given rise to.
  std::vector<Event> take_pending() { return std::move(pending_); }

  /// Calls whose value is known under another name (constructors of variables).
  std::map<const clang::Expr*, Path> named_values;

 private:
  Path message(const clang::Expr* expression);
  Path call(const clang::CallExpr* call);
  Path element(const clang::Expr* base, const clang::Expr* index, clang::QualType type);
  Path choice(const clang::Expr* whole, const clang::Expr* one, const clang::Expr* other);
  Path gathered(const clang::Expr* whole, const std::vector<const clang::Expr*>& elements);
  Path closure(const clang::Expr* code);
  Path of_composed(const clang::Expr* expression);

  Unit& unit_;
  int function_;
  const clang::Decl* declaration_;
  std::vector<Event> pending_;
};

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

/// The expression of pointer type that an integer was made from, if any.
const clang::Expr* pointer_inside(const clang::Expr* expression);

/// The first part of a selector, or the method's or function's name.
std::string name_of_call(const clang::Expr* call);

}  // namespace cajal::sync::frontend
