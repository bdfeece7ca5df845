// Host reads and writes, and what assignments make the same.
#include <fmt/format.h>

#include <algorithm>

#include "clang/AST/DeclCXX.h"
#include "clang/AST/DeclTemplate.h"
#include "clang/AST/ExprCXX.h"
#include "clang/AST/ExprObjC.h"
#include "sync/frontend/addresses.h"
#include "sync/frontend/lower.h"

namespace cajal::sync::frontend {
namespace {

bool copies_as_value(clang::QualType type) {
  return !is_reference_like(type) && !type->isReferenceType();
}

/// A table of pointers is memory like any other: pointers[i] = p.
bool is_pointer_in_memory(const clang::Expr* e) {
  if (!e->getType().getCanonicalType()->isPointerType() || kind_of(e->getType()) != Kind::other) {
    return false;
  }
  const auto* unary = llvm::dyn_cast<clang::UnaryOperator>(e);
  return llvm::isa<clang::ArraySubscriptExpr>(e) ||
         (unary != nullptr && unary->getOpcode() == clang::UO_Deref);
}

/// Output goes elsewhere than to memory that a device could share.
bool is_stream(clang::QualType type) {
  const clang::RecordDecl* record = type.getCanonicalType()->getAsRecordDecl();
  return record != nullptr && record->getNameAsString().ends_with("stream");
}

bool is_mutable_reference(clang::QualType type) {
  return type->isLValueReferenceType() && !type->getPointeeType().isConstQualified();
}

}  // namespace

Path slot_of(Path path) {
  if (path.root == Root::param) path.root = Root::local;
  std::string& last = path.fields.empty() ? path.name : path.fields.back();
  last = path.fields.empty() ? last + "&" : "&" + last;
  path.handle = false;
  return path;
}

/// A plain variable that nothing else can reach is no memory that a device could share.
bool Lowering::matters(const clang::Expr* lvalue) const {
  const clang::Expr* e = bare(lvalue);
  if (e == nullptr) return false;
  const clang::QualType type = e->getType();
  if (is_reference_like(type)) {
    const clang::ValueDecl* named = named_by(e);
    return (named != nullptr && unit_.exposed.contains(named)) || is_pointer_in_memory(e);
  }
  if (const auto* name = llvm::dyn_cast<clang::DeclRefExpr>(e)) {
    const clang::QualType declared = name->getDecl()->getType();
    return declared->isReferenceType() || unit_.exposed.contains(name->getDecl()) ||
           type->isRecordType() || type->isArrayType();
  }
  if (const auto* member = llvm::dyn_cast<clang::MemberExpr>(e)) {
    if (unit_.exposed.contains(member->getMemberDecl())) return true;
    // A record of numbers alone may lie in a buffer; an object that leads to others does not.
    if (!member->isArrow()) return matters(member->getBase());
    return !llvm::isa<clang::CXXThisExpr>(bare(member->getBase())) ||
           !holds_references(member->getBase()->getType()->getPointeeType());
  }
  if (const auto* ivar = llvm::dyn_cast<clang::ObjCIvarRefExpr>(e)) {
    return unit_.exposed.contains(ivar->getDecl());
  }
  return true;
}

void Lowering::access(const clang::Expr* lvalue, bool is_write, bool is_read) {
  if (lvalue == nullptr || !matters(lvalue)) return;
  Path touched = path(lvalue);
  if (touched.empty()) return;
  if (is_reference_like(bare(lvalue)->getType())) touched = slot_of(touched);
  Event& event = emit(Op::host, lvalue->getExprLoc());
  const clang::ValueDecl* named = named_by(lvalue);
  event.traits.managed = named != nullptr && unit_.managed.contains(named);
  if (is_read) event.accesses.push_back({touched, false, false});
  if (is_write) event.accesses.push_back({touched, true, false});
  touch_unseen(lvalue);
}

/// Memory behind a pointer that code out of sight has set may be any that it can reach.
void Lowering::touch_unseen(const clang::Expr* lvalue) {
  const clang::Expr* e = bare(lvalue);
  const clang::ValueDecl* pointer = named_by(e);
  if (pointer == nullptr || !unit_.unseen_pointers.contains(pointer)) return;
  if (is_reference_like(e->getType()) && e->getType()->isPointerType()) return;
  Path unseen;
  unseen.root = Root::foreign;
  unseen.name = "set elsewhere";
  Event& event = emit(Op::unknown, lvalue->getExprLoc());
  event.accesses.push_back({unseen, true, false});
  event.text = fmt::format("touches memory through `{}`, which nothing in view sets",
                           pointer->getNameAsString());
}

void Lowering::read(const clang::Expr* lvalue) { access(lvalue, false, true); }
void Lowering::write(const clang::Expr* lvalue) { access(lvalue, true, false); }

void Lowering::assign(const Path& target, clang::QualType type, const clang::Expr* right) {
  if (target.empty()) return;
  const Path source = path(right);
  if (!source.empty()) {
    Event& alias = emit(Op::alias, right->getExprLoc());
    alias.target = target;
    alias.source = source;
  }
  if (is_token(kind_of(type))) {
    Event& copy = emit(Op::copy, right->getExprLoc());
    copy.target = target;
    copy.source = source;
    const bool null = is_null(right, unit_.context);
    copy.traits.null = null && kind_of(type) != Kind::stream;
    if (null && kind_of(type) == Kind::stream) copy.source = default_queue();
  }
}

void Lowering::assign(const clang::Expr* left, const clang::Expr* right) {
  const clang::QualType type = left->getType();
  if (copies_as_value(type)) {
    write(left);
    if (type->isRecordType()) {
      if (right->isGLValue()) read(right);
      // Pointers in it lead on to the same memory.
      if (leads_on(unit_, type)) assign(path(left), type, right);
    }
    if (carries_address(unit_, right)) assign(path(left), type, right);
    return;
  }
  if (matters(left)) write(left);
  assign(path(left), type, right);
}

void Lowering::declare(const clang::DeclStmt* statement) {
  for (const clang::Decl* declared : statement->decls()) {
    const auto* variable = llvm::dyn_cast<clang::VarDecl>(declared);
    if (variable == nullptr || variable->getInit() == nullptr) continue;
    const clang::QualType type = variable->getType();
    const Path target = paths_.of(variable);
    const clang::Expr* init = bare(variable->getInit());
    if (init == nullptr) continue;
    const bool address = carries_address(unit_, variable->getInit());
    if (address || llvm::isa<clang::LambdaExpr>(init) || llvm::isa<clang::BlockExpr>(init)) {
      const Path held = path(init);
      if (held.empty()) continue;
      Event& alias = emit(Op::alias, init->getExprLoc());
      alias.target = target;
      alias.source = held;
      continue;
    }
    const bool copied_record = copies_as_value(type) && type->isRecordType();
    if (copied_record && !leads_on(unit_, type)) continue;
    if (copies_as_value(type) && !copied_record) {
      // An array of pointers initialised by a list: each of them may be any of its elements.
      if (const auto* list = llvm::dyn_cast<clang::InitListExpr>(init)) {
        paths_.fill(target, *list);
        flush_aliases(init->getExprLoc());
      }
      continue;
    }
    if (copied_record) {
      // Fields that are pointers lead to the same memory as before.
      if (const auto* made = llvm::dyn_cast<clang::CXXConstructExpr>(init)) {
        for (const clang::Expr* argument : made->arguments()) {
          if (argument->getType().getCanonicalType().getUnqualifiedType() !=
              type.getCanonicalType().getUnqualifiedType()) {
            continue;
          }
          assign(target, type, argument);
        }
        continue;
      }
      if (const auto* list = llvm::dyn_cast<clang::InitListExpr>(init)) {
        paths_.fill(target, *list);
        flush_aliases(init->getExprLoc());
        continue;
      }
    }
    assign(target, type, variable->getInit());
  }
}

void Lowering::give_back(const clang::ReturnStmt* statement) {
  const clang::Expr* value = statement->getRetValue();
  if (value == nullptr) return;
  const bool refers =
      is_reference_like(value->getType()) || value->isGLValue() || carries_address(unit_, value);
  if (!refers && !value->getType()->isRecordType()) return;
  Path result;
  result.root = Root::result;
  result.name = "result";
  result.owner = index_;
  result.handle = is_handle(value->getType());
  assign(result, value->getType(), value);
}

/// What a library takes by reference it reads, and writes unless the reference is to a constant.
/// `skipped` arguments stand before those of the parameters.
void Lowering::touch_references(const std::vector<const clang::Expr*>& arguments,
                                const clang::FunctionDecl* callee, unsigned skipped) {
  for (std::size_t i = skipped; i < arguments.size(); ++i) {
    const clang::Expr* argument = arguments[i];
    const clang::QualType type = argument->getType();
    if (!argument->isGLValue() || type->isFunctionType()) continue;
    const std::size_t parameter = i - skipped;
    const bool written =
        callee != nullptr && parameter < callee->getNumParams() &&
        is_mutable_reference(callee->getParamDecl(static_cast<unsigned>(parameter))->getType());
    // std::swap(one, other): the variable holds another stream from here on.
    if (written && is_token(kind_of(type))) {
      emit(Op::copy, argument->getExprLoc()).target = path(argument);
    }
    if (is_reference_like(type) || is_stream(type) || is_container(type)) continue;
    access(argument, written, true);
  }
}

/// A method of a record from a library: std::complex, std::array and the like lie in memory.
void Lowering::touch_receiver(const clang::Expr* receiver, const clang::FunctionDecl* method) {
  if (receiver == nullptr || llvm::isa<clang::CXXThisExpr>(bare(receiver))) return;
  const bool arrow = receiver->getType()->isPointerType();
  const clang::QualType type = arrow ? receiver->getType()->getPointeeType() : receiver->getType();
  if ((!arrow && !receiver->isGLValue()) || !type->isRecordType()) return;
  if (is_reference_like(type) || is_container(type) || is_stream(type)) return;
  const auto* known = llvm::dyn_cast<clang::CXXMethodDecl>(method);
  const bool written = known != nullptr && !known->isConst();
  if (!arrow) return access(receiver, written, true);
  const Path touched = path(receiver);
  if (touched.empty()) return;
  emit(Op::host, receiver->getExprLoc()).accesses = {{touched, written, false}};
}

void Lowering::call_system_operator(const clang::CXXOperatorCallExpr* op) {
  const std::vector<const clang::Expr*> arguments(op->arg_begin(), op->arg_end());
  const clang::FunctionDecl* function = op->getDirectCallee();
  switch (op->getOperator()) {
    case clang::OO_Subscript:
    case clang::OO_Arrow:
      return;
    case clang::OO_Star:
      if (arguments.size() == 1) return;
      break;
    default:
      break;
  }
  const auto* method = llvm::dyn_cast_or_null<clang::CXXMethodDecl>(function);
  if (method != nullptr) touch_receiver(arguments.front(), method);
  touch_references(arguments, function, method != nullptr ? 1 : 0);
  for (const clang::Expr* argument : arguments) {
    const clang::QualType type = argument->getType();
    if (!type->isPointerType() || !type->getPointeeType()->isAnyCharacterType()) continue;
    const Path text = path(argument);  // std::cout << text
    if (!text.empty()) emit(Op::host, argument->getExprLoc()).accesses = {{text, false, false}};
  }
}

}  // namespace cajal::sync::frontend
