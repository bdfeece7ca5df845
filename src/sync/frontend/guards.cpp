#include "sync/frontend/guards.h"

#include "clang/AST/Expr.h"
#include "clang/AST/ExprObjC.h"
#include "clang/AST/Stmt.h"
#include "sync/frontend/expressions.h"

namespace cajal::sync::frontend {
namespace {

bool contains(const clang::Stmt* tree, const clang::Stmt* wanted) {
  if (tree == wanted) return true;
  if (tree == nullptr) return false;
  for (const clang::Stmt* child : tree->children()) {
    if (contains(child, wanted)) return true;
  }
  return false;
}

/// Reads something that changes as the program runs; of a call's value that is taken for granted.
bool asks_progress(const Unit& unit, const clang::Stmt* condition) {
  if (condition == nullptr) return false;
  if (llvm::isa<clang::CallExpr>(condition) || llvm::isa<clang::ObjCMessageExpr>(condition)) {
    return true;
  }
  const auto* expression = llvm::dyn_cast<clang::Expr>(condition);
  const clang::ValueDecl* named = expression != nullptr ? named_by(expression) : nullptr;
  if (named != nullptr && unit.assigned.contains(named)) return true;
  for (const clang::Stmt* child : condition->children()) {
    if (asks_progress(unit, child)) return true;
  }
  return false;
}

/// What decides whether the statement's part with the call runs.
const clang::Stmt* condition_of(const clang::Stmt* statement, const clang::Expr* call) {
  if (const auto* branch = llvm::dyn_cast<clang::IfStmt>(statement)) {
    const bool under = contains(branch->getThen(), call) || contains(branch->getElse(), call);
    return under ? branch->getCond() : nullptr;
  }
  if (const auto* choice = llvm::dyn_cast<clang::ConditionalOperator>(statement)) {
    return contains(choice->getCond(), call) ? nullptr : choice->getCond();
  }
  const auto* both = llvm::dyn_cast<clang::BinaryOperator>(statement);
  if (both != nullptr && both->isLogicalOp() && contains(both->getRHS(), call)) {
    return both->getLHS();
  }
  return nullptr;
}

}  // namespace

bool depends_on_progress(const Unit& unit, const clang::Stmt* body, const clang::Expr* call) {
  if (body == nullptr || body == call) return false;
  if (asks_progress(unit, condition_of(body, call))) return true;
  for (const clang::Stmt* child : body->children()) {
    if (child != nullptr && contains(child, call)) return depends_on_progress(unit, child, call);
  }
  return false;
}

}  // namespace cajal::sync::frontend
