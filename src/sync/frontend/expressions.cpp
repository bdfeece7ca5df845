#include "sync/frontend/expressions.h"

#include "clang/AST/DeclCXX.h"
#include "clang/AST/ExprCXX.h"
#include "clang/Index/USRGeneration.h"
#include "sync/frontend/types.h"

namespace cajal::sync::frontend {

const clang::Expr* receiver_of(const clang::Expr* call) {
  if (const auto* message = llvm::dyn_cast<clang::ObjCMessageExpr>(call)) {
    return message->getInstanceReceiver();
  }
  if (const auto* member = llvm::dyn_cast<clang::CXXMemberCallExpr>(call)) {
    return member->getImplicitObjectArgument();
  }
  return nullptr;
}

std::string without_underscores(std::string name) {
  while (name.size() > 1 && name.front() == '_') name.erase(0, 1);
  while (name.size() > 1 && name.back() == '_') name.pop_back();
  return name;
}

std::string symbol_of(const clang::Decl* declaration) {
  const auto* function = llvm::dyn_cast<clang::FunctionDecl>(declaration);
  if (function != nullptr && !function->isExternallyVisible()) return {};
  llvm::SmallString<128> symbol;
  // True for what has no such name.
  if (clang::index::generateUSRForDecl(declaration, symbol)) return {};
  return std::string(symbol);
}

const clang::ObjCMethodDecl* method_of(const clang::ObjCMessageExpr* message) {
  const auto* interface = message->getReceiverInterface();
  if (interface != nullptr && interface->getImplementation() != nullptr) {
    const auto* method = interface->getImplementation()->getMethod(message->getSelector(),
                                                                   message->isInstanceMessage());
    if (method != nullptr) return method;
  }
  return message->getMethodDecl();
}

std::string field_of_accessor(const clang::ObjCMethodDecl* method) {
  const clang::ObjCPropertyDecl* property = method->findPropertyDecl();
  if (property == nullptr)
    return without_underscores(method->getSelector().getNameForSlot(0).str());
  const clang::ObjCIvarDecl* variable = property->getPropertyIvarDecl();
  return without_underscores(variable != nullptr ? variable->getNameAsString()
                                                 : property->getNameAsString());
}

bool is_null(const clang::Expr* expression, clang::ASTContext& context) {
  return expression->IgnoreParenImpCasts()->isNullPointerConstant(
             context, clang::Expr::NPC_ValueDependentIsNotNull) != clang::Expr::NPCK_NotNull;
}

bool keeps_address(const clang::BinaryOperator& binary) {
  return binary.isAdditiveOp() || binary.isBitwiseOp();
}

const clang::Expr* pointer_inside(const clang::Expr* expression) {
  expression = bare(expression);
  if (expression == nullptr) return nullptr;
  if (is_reference_like(expression->getType())) return expression;
  const auto* binary = llvm::dyn_cast<clang::BinaryOperator>(expression);
  if (binary == nullptr || !keeps_address(*binary)) return nullptr;
  const clang::Expr* left = pointer_inside(binary->getLHS());
  return left != nullptr ? left : pointer_inside(binary->getRHS());
}

std::string name_of_call(const clang::Expr* call) {
  if (const auto* message = llvm::dyn_cast<clang::ObjCMessageExpr>(call)) {
    return message->getSelector().getNameForSlot(0).str();
  }
  if (const auto* plain = llvm::dyn_cast<clang::CallExpr>(call)) {
    const auto* callee = llvm::dyn_cast_or_null<clang::NamedDecl>(plain->getCalleeDecl());
    return callee != nullptr ? callee->getNameAsString() : std::string();
  }
  return {};
}

const clang::Expr* bare(const clang::Expr* expression) {
  for (const clang::Expr* before = nullptr; expression != nullptr && expression != before;) {
    before = expression;
    expression = expression->IgnoreParenCasts();
    if (const auto* pseudo = llvm::dyn_cast<clang::PseudoObjectExpr>(expression)) {
      if (pseudo->getResultExpr() != nullptr) expression = pseudo->getResultExpr();
    } else if (const auto* opaque = llvm::dyn_cast<clang::OpaqueValueExpr>(expression)) {
      if (opaque->getSourceExpr() != nullptr) expression = opaque->getSourceExpr();
    } else if (const auto* temporary =
                   llvm::dyn_cast<clang::MaterializeTemporaryExpr>(expression)) {
      expression = temporary->getSubExpr();
    } else if (const auto* bound = llvm::dyn_cast<clang::CXXBindTemporaryExpr>(expression)) {
      expression = bound->getSubExpr();
    } else if (const auto* full = llvm::dyn_cast<clang::FullExpr>(expression)) {
      expression = full->getSubExpr();
    } else if (const auto* init = llvm::dyn_cast<clang::CXXDefaultInitExpr>(expression)) {
      expression = init->getExpr();
    }
  }
  return expression;
}

const clang::ValueDecl* named_by(const clang::Expr* expression) {
  expression = bare(expression);
  if (expression == nullptr) return nullptr;
  if (const auto* name = llvm::dyn_cast<clang::DeclRefExpr>(expression)) return name->getDecl();
  if (const auto* member = llvm::dyn_cast<clang::MemberExpr>(expression)) {
    return member->getMemberDecl();
  }
  if (const auto* ivar = llvm::dyn_cast<clang::ObjCIvarRefExpr>(expression)) return ivar->getDecl();
  if (const auto* unary = llvm::dyn_cast<clang::UnaryOperator>(expression)) {
    return named_by(unary->getSubExpr());
  }
  if (const auto* subscript = llvm::dyn_cast<clang::ArraySubscriptExpr>(expression)) {
    return named_by(subscript->getBase());
  }
  return nullptr;
}

}  // namespace cajal::sync::frontend
