#include "sync/frontend/addresses.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "clang/AST/DeclObjC.h"
#include "clang/AST/ExprCXX.h"
#include "clang/AST/ExprObjC.h"
#include "clang/AST/RecursiveASTVisitor.h"
#include "sync/frontend/expressions.h"
#include "sync/frontend/types.h"

namespace cajal::sync::frontend {
namespace {

/// The same for a parameter wherever its function is declared.
AddressKey key_of(const clang::Decl* declaration) {
  const auto* parameter = llvm::dyn_cast<clang::ParmVarDecl>(declaration);
  if (parameter == nullptr) return {declaration->getCanonicalDecl(), -1};
  const auto* function = llvm::cast<clang::Decl>(parameter->getDeclContext());
  return {function->getCanonicalDecl(), static_cast<int>(parameter->getFunctionScopeIndex())};
}

/// A variable or a field itself, not what it leads to.
const clang::ValueDecl* name_itself(const clang::Expr* e) {
  if (llvm::isa<clang::DeclRefExpr>(e) || llvm::isa<clang::MemberExpr>(e) ||
      llvm::isa<clang::ObjCIvarRefExpr>(e)) {
    return named_by(e);
  }
  return nullptr;
}

/// Calls visit(declaration) for all whose number the expression may be, or be made of.
template <class Visit>
void for_each_part(const clang::Expr* expression, const Visit& visit) {
  const clang::Expr* e = bare(expression);
  if (e == nullptr) return;
  if (const auto* binary = llvm::dyn_cast<clang::BinaryOperator>(e)) {
    for_each_part(binary->getLHS(), visit);
    for_each_part(binary->getRHS(), visit);
  } else if (const auto* choice = llvm::dyn_cast<clang::AbstractConditionalOperator>(e)) {
    for_each_part(choice->getTrueExpr(), visit);
    for_each_part(choice->getFalseExpr(), visit);
  } else if (const auto* call = llvm::dyn_cast<clang::CallExpr>(e)) {
    if (call->getDirectCallee() != nullptr) visit(call->getDirectCallee());
  } else if (const auto* message = llvm::dyn_cast<clang::ObjCMessageExpr>(e)) {
    if (message->getMethodDecl() != nullptr) visit(message->getMethodDecl());
  } else if (const clang::ValueDecl* named = name_itself(e)) {
    visit(named);
  }
}

class Flows : public clang::RecursiveASTVisitor<Flows> {
 public:
  explicit Flows(Unit& unit) : unit_(unit) {}

  bool shouldVisitTemplateInstantiations() const { return true; }
  bool shouldVisitImplicitCode() const { return true; }

  bool VisitCastExpr(clang::CastExpr* cast) {
    if (cast->getCastKind() != clang::CK_IntegralToPointer) return true;
    for_each_part(cast->getSubExpr(),
                  [this](const clang::Decl* part) { unit_.addresses.insert(key_of(part)); });
    return true;
  }
  bool VisitVarDecl(clang::VarDecl* variable) {
    if (variable->getInit() != nullptr) flow(key_of(variable), variable->getInit());
    return true;
  }
  bool VisitBinaryOperator(clang::BinaryOperator* binary) {
    const clang::ValueDecl* left =
        binary->isAssignmentOp() ? name_itself(bare(binary->getLHS())) : nullptr;
    if (left != nullptr) flow(key_of(left), binary->getRHS());
    return true;
  }
  bool VisitInitListExpr(clang::InitListExpr* list) {
    const clang::QualType type = list->getType();
    const clang::RecordDecl* record = type.isNull() ? nullptr : type->getAsRecordDecl();
    if (record == nullptr) return true;
    unsigned i = 0;
    for (const clang::FieldDecl* field : record->fields()) {
      if (i < list->getNumInits()) flow(key_of(field), list->getInit(i++));
    }
    return true;
  }
  bool VisitCallExpr(clang::CallExpr* call) {
    const clang::FunctionDecl* callee = call->getDirectCallee();
    if (callee == nullptr) return true;
    // An operator that is a member has its object among the arguments.
    const bool member =
        llvm::isa<clang::CXXOperatorCallExpr>(call) && llvm::isa<clang::CXXMethodDecl>(callee);
    for (unsigned i = member ? 1 : 0; i < call->getNumArgs(); ++i) {
      pass(callee, static_cast<int>(member ? i - 1 : i), call->getArg(i));
    }
    return true;
  }
  bool VisitCXXConstructExpr(clang::CXXConstructExpr* made) {
    for (unsigned i = 0; i < made->getNumArgs(); ++i) {
      pass(made->getConstructor(), static_cast<int>(i), made->getArg(i));
    }
    return true;
  }
  bool VisitObjCMessageExpr(clang::ObjCMessageExpr* message) {
    if (message->getMethodDecl() == nullptr) return true;
    for (unsigned i = 0; i < message->getNumArgs(); ++i) {
      pass(message->getMethodDecl(), static_cast<int>(i), message->getArg(i));
    }
    return true;
  }
  bool VisitCXXCtorInitializer(clang::CXXCtorInitializer* initial) {
    if (initial->isAnyMemberInitializer())
      flow(key_of(initial->getAnyMember()), initial->getInit());
    return true;
  }
  bool TraverseConstructorInitializer(clang::CXXCtorInitializer* initial) {
    VisitCXXCtorInitializer(initial);
    return RecursiveASTVisitor::TraverseConstructorInitializer(initial);
  }
  bool TraverseFunctionDecl(clang::FunctionDecl* function) {
    return within(function, [&] { return RecursiveASTVisitor::TraverseFunctionDecl(function); });
  }
  bool TraverseCXXMethodDecl(clang::CXXMethodDecl* function) {
    return within(function, [&] { return RecursiveASTVisitor::TraverseCXXMethodDecl(function); });
  }
  bool TraverseObjCMethodDecl(clang::ObjCMethodDecl* method) {
    return within(method, [&] { return RecursiveASTVisitor::TraverseObjCMethodDecl(method); });
  }
  bool VisitReturnStmt(clang::ReturnStmt* back) {
    if (back->getRetValue() != nullptr && inside_ != nullptr) {
      flow(key_of(inside_), back->getRetValue());
    }
    return true;
  }

  /// Backwards, from what becomes a pointer to where its number comes from.
  void follow() {
    for (bool more = true; more;) {
      more = false;
      for (const auto& [to, from] : flows_) {
        if (!unit_.addresses.contains(to)) continue;
        for_each_part(from, [&](const clang::Decl* part) {
          more = unit_.addresses.insert(key_of(part)).second || more;
        });
      }
    }
  }

 private:
  void flow(const AddressKey& to, const clang::Expr* from) {
    if (from == nullptr || from->getType().isNull()) return;
    if (from->getType()->isIntegerType()) flows_.emplace_back(to, from);
  }
  void pass(const clang::Decl* callee, int index, const clang::Expr* argument) {
    flow({callee->getCanonicalDecl(), index}, argument);
  }
  template <class Traverse>
  bool within(const clang::Decl* function, const Traverse& traverse) {
    const clang::Decl* const outer = std::exchange(inside_, function);
    const bool go_on = traverse();
    inside_ = outer;
    return go_on;
  }

  Unit& unit_;
  const clang::Decl* inside_ = nullptr;
  std::vector<std::pair<AddressKey, const clang::Expr*>> flows_;
};

}  // namespace

void note_addresses(Unit& unit) {
  Flows flows(unit);
  flows.TraverseDecl(unit.context.getTranslationUnitDecl());
  flows.follow();
}

bool is_address(const Unit& unit, const clang::Decl* declaration) {
  return declaration != nullptr && unit.addresses.contains(key_of(declaration));
}

bool carries_address(const Unit& unit, const clang::Expr* number) {
  if (!number->getType()->isIntegerType()) return false;
  if (pointer_inside(number) != nullptr) return true;
  bool found = false;
  for_each_part(number, [&](const clang::Decl* part) { found = found || is_address(unit, part); });
  return found;
}

bool leads_on(const Unit& unit, clang::QualType type) {
  if (holds_references(type)) return true;
  const clang::RecordDecl* record = type.getCanonicalType()->getAsRecordDecl();
  if (record == nullptr || unit.addresses.empty()) return false;
  const auto fields = record->fields();
  return std::any_of(fields.begin(), fields.end(), [&](const clang::FieldDecl* field) {
    return is_address(unit, field) || leads_on(unit, field->getType());
  });
}

}  // namespace cajal::sync::frontend
