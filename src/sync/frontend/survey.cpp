#include "sync/frontend/survey.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "clang/AST/DeclCXX.h"
#include "clang/AST/DeclObjC.h"
#include "clang/AST/ExprCXX.h"
#include "clang/AST/ExprObjC.h"
#include "clang/AST/RecursiveASTVisitor.h"
#include "sync/frontend/addresses.h"
#include "sync/frontend/paths.h"
#include "sync/frontend/types.h"

namespace cajal::sync::frontend {
namespace {

class InLoop {
 public:
  explicit InLoop(int& depth) : depth_(depth) { ++depth_; }
  ~InLoop() { --depth_; }
  InLoop(const InLoop&) = delete;
  InLoop& operator=(const InLoop&) = delete;

 private:
  int& depth_;
};

class Surveyor : public clang::RecursiveASTVisitor<Surveyor> {
 public:
  explicit Surveyor(Unit& unit) : unit_(unit) {}

  bool shouldVisitTemplateInstantiations() const { return true; }
  bool shouldVisitImplicitCode() const { return false; }

  std::vector<Code> found;
  std::set<const clang::Decl*> taken;  // Functions whose address leaves.
  std::set<std::string> selectors;     // Named by @selector.
  std::set<const clang::Decl*> nonblocking;
  bool has_main = false;

  bool TraverseDecl(clang::Decl* declaration) {
    if (declaration != nullptr && !llvm::isa<clang::TranslationUnitDecl>(declaration) &&
        unit_.in_system(declaration->getLocation()) && declaration->getLocation().isValid()) {
      return true;
    }
    return RecursiveASTVisitor::TraverseDecl(declaration);
  }

  bool VisitFunctionDecl(clang::FunctionDecl* function) {
    if (!function->doesThisDeclarationHaveABody() || function->isDependentContext()) return true;
    if (function->hasAttr<clang::CUDAGlobalAttr>()) return true;
    if (function->hasAttr<clang::CUDADeviceAttr>() && !function->hasAttr<clang::CUDAHostAttr>()) {
      return true;
    }
    if (function->isMain()) has_main = true;
    const auto* method = llvm::dyn_cast<clang::CXXMethodDecl>(function);
    const bool lambda = method != nullptr && method->getParent()->isLambda();
    add(function, function->getBody(), lambda);
    return true;
  }
  bool VisitObjCMethodDecl(clang::ObjCMethodDecl* method) {
    if (!method->hasBody()) return true;
    add(method, method->getBody(), false);
    llvm::SmallVector<const clang::ObjCMethodDecl*, 4> above;
    method->getOverriddenMethods(above);
    for (const clang::ObjCMethodDecl* one : above) note_overridden(method, one);
    return true;
  }
  bool VisitCXXCtorInitializer(clang::CXXCtorInitializer* initial) {
    if (initial->isAnyMemberInitializer()) note_value(initial->getAnyMember(), initial->getInit());
    return true;
  }
  bool TraverseConstructorInitializer(clang::CXXCtorInitializer* initial) {
    VisitCXXCtorInitializer(initial);
    return RecursiveASTVisitor::TraverseConstructorInitializer(initial);
  }
  bool VisitObjCMessageExpr(clang::ObjCMessageExpr* message) {
    const std::string name = message->getSelector().getAsString();
    if (name.find("esidencySet") != std::string::npos) unit_.resident = true;
    const clang::Expr* receiver = message->getInstanceReceiver();
    const bool heap = receiver != nullptr && is_heap(receiver->getType());
    if (name.starts_with("useHeap") || (heap && name.starts_with("new"))) use_untracked();
    return true;
  }
  bool VisitBlockDecl(clang::BlockDecl* block) {
    if (!block->isDependentContext()) add(block, block->getBody(), true);
    for (const auto& capture : block->captures()) expose(capture.getVariable());
    return true;
  }
  bool VisitLambdaExpr(clang::LambdaExpr* lambda) {
    for (const auto& capture : lambda->captures()) {
      if (capture.capturesVariable()) expose(capture.getCapturedVar());
    }
    // The visitor reaches the body but not always the call operator itself.
    clang::CXXMethodDecl* code = lambda->getCallOperator();
    if (code != nullptr && !code->isDependentContext()) add(code, lambda->getBody(), true);
    return true;
  }
  bool VisitUnaryOperator(clang::UnaryOperator* unary) {
    const clang::ValueDecl* named = named_by(unary->getSubExpr());
    if (unary->getOpcode() == clang::UO_AddrOf) expose(named);
    if (unary->isIncrementDecrementOp() && named != nullptr) unit_.assigned.insert(named);
    return true;
  }
  bool VisitBinaryOperator(clang::BinaryOperator* binary) {
    if (!binary->isAssignmentOp()) return true;
    const clang::ValueDecl* left = named_by(binary->getLHS());
    if (left == nullptr) return true;
    unit_.assigned.insert(left);
    note_semaphore(left, binary->getRHS());
    const clang::Expr* whole = bare(binary->getLHS());
    const bool itself =
        !llvm::isa<clang::UnaryOperator>(whole) && !llvm::isa<clang::ArraySubscriptExpr>(whole);
    if (itself) note_value(left, binary->getRHS());
    return true;
  }
  bool VisitVarDecl(clang::VarDecl* variable) {
    if (variable->getInit() != nullptr) {
      note_semaphore(variable, variable->getInit());
      note_value(variable, variable->getInit());
      if (variable->getType()->isReferenceType()) expose(named_by(variable->getInit()));
    }
    // To this parser CUDA's __managed__ is but a note.
    const auto* note = variable->getAttr<clang::AnnotateAttr>();
    if (variable->hasAttr<clang::HIPManagedAttr>() ||
        (note != nullptr && note->getAnnotation() == "managed")) {
      unit_.managed.insert(variable);
      expose(variable);
    }
    return true;
  }
  bool VisitMemberExpr(clang::MemberExpr* member) {
    if (inside_block_ > 0) expose(member->getMemberDecl());
    note_use(member->getMemberDecl());
    return true;
  }
  bool VisitObjCIvarRefExpr(clang::ObjCIvarRefExpr* ivar) {
    if (inside_block_ > 0) expose(ivar->getDecl());
    note_use(ivar->getDecl());
    return true;
  }
  bool VisitDeclRefExpr(clang::DeclRefExpr* name) {
    const auto* variable = llvm::dyn_cast<clang::VarDecl>(name->getDecl());
    if (variable != nullptr && inside_block_ > 0 && variable->hasGlobalStorage()) expose(variable);
    if (variable != nullptr && variable->hasGlobalStorage()) note_use(variable);
    const std::string spelled = name->getDecl()->getNameAsString();
    if (spelled.ends_with("HazardTrackingModeUntracked")) use_untracked();
    const auto* function = llvm::dyn_cast<clang::FunctionDecl>(name->getDecl());
    if (function != nullptr && !callees_.contains(name)) taken.insert(function->getCanonicalDecl());
    return true;
  }
  bool TraverseBlockExpr(clang::BlockExpr* block) {
    ++inside_block_;
    const bool go_on = RecursiveASTVisitor::TraverseBlockExpr(block);
    --inside_block_;
    return go_on;
  }
  bool TraverseLambdaExpr(clang::LambdaExpr* lambda) {
    ++inside_block_;
    const bool go_on = RecursiveASTVisitor::TraverseLambdaExpr(lambda);
    --inside_block_;
    return go_on;
  }
  bool TraverseForStmt(clang::ForStmt* loop) {
    const InLoop inside(loops_);
    return RecursiveASTVisitor::TraverseForStmt(loop);
  }
  bool TraverseWhileStmt(clang::WhileStmt* loop) {
    const InLoop inside(loops_);
    return RecursiveASTVisitor::TraverseWhileStmt(loop);
  }
  bool TraverseDoStmt(clang::DoStmt* loop) {
    const InLoop inside(loops_);
    return RecursiveASTVisitor::TraverseDoStmt(loop);
  }
  bool TraverseCXXForRangeStmt(clang::CXXForRangeStmt* loop) {
    const InLoop inside(loops_);
    return RecursiveASTVisitor::TraverseCXXForRangeStmt(loop);
  }
  bool VisitObjCSelectorExpr(clang::ObjCSelectorExpr* selector) {
    selectors.insert(selector->getSelector().getAsString());
    return true;
  }
  bool VisitCallExpr(clang::CallExpr* call) {
    if (call->getCallee() != nullptr) {
      if (const auto* name =
              llvm::dyn_cast<clang::DeclRefExpr>(call->getCallee()->IgnoreParenImpCasts())) {
        callees_.insert(name);
      }
    }
    const clang::FunctionDecl* function = call->getDirectCallee();
    if (function == nullptr) return true;
    const std::string name = function->getNameAsString();
    const auto* on = llvm::dyn_cast<clang::CXXMemberCallExpr>(call);
    const bool heap = on != nullptr && is_heap(on->getImplicitObjectArgument()->getType());
    if (name.starts_with("useHeap") || (heap && name.starts_with("new"))) use_untracked();
    if (name == "move" && call->getNumArgs() == 1) hand_on(call->getArg(0));
    if (name == "release" && on != nullptr) hand_on(on->getImplicitObjectArgument());
    for (unsigned i = 0; i < call->getNumArgs() && i < function->getNumParams(); ++i) {
      const clang::QualType type = function->getParamDecl(i)->getType();
      if (type->isLValueReferenceType()) expose(named_by(call->getArg(i)));
    }
    if (name == "cudaSetDevice" || name == "hipSetDevice") note_device(call);
    if (call->getNumArgs() == 0) return true;
    const clang::ValueDecl* first = named_by(call->getArg(0));
    if (name.ends_with("MallocManaged") && first != nullptr) unit_.managed.insert(first);
    if (name == "cudaStreamCreate" || name == "hipStreamCreate") {
      if (first != nullptr) unit_.blocking_streams.insert(first);
    } else if (name.find("StreamCreateWith") != std::string::npos && first != nullptr) {
      nonblocking.insert(first);
    }
    return true;
  }
  bool VisitReturnStmt(clang::ReturnStmt* back) {
    if (back->getRetValue() != nullptr) hand_on(back->getRetValue());
    return true;
  }
  bool VisitExpr(clang::Expr* expression) {
    if (expression->containsErrors()) {
      broken.emplace_back(unit_.line(expression->getBeginLoc()),
                          "an expression that does not compile");
    }
    return true;
  }
  std::vector<std::pair<unsigned, std::string>> broken;
  /// Raw pointers that outlive a function, and the lines that give them a value.
  std::map<const clang::ValueDecl*, std::vector<unsigned>> pointers;

 private:
  void add(const clang::Decl* declaration, const clang::Stmt* body, bool block) {
    if (body == nullptr) return;
    const clang::Decl* canonical = declaration->getCanonicalDecl();
    const int index = static_cast<int>(found.size());
    if (!unit_.functions.insert({canonical, index}).second) return;
    found.push_back({declaration, body, index, block, {}});
  }
  void note_overridden(const clang::ObjCMethodDecl* own, const clang::ObjCMethodDecl* above) {
    const auto* interface = above->getClassInterface();
    if (interface == nullptr || interface == own->getClassInterface()) return;
    const auto* made = interface->getImplementation();
    const auto* body = made == nullptr
                           ? nullptr
                           : made->getMethod(above->getSelector(), above->isInstanceMethod());
    unit_.overridden.insert(above->getCanonicalDecl());
    if (body != nullptr) unit_.overridden.insert(body->getCanonicalDecl());
  }
  void hand_on(const clang::Expr* value) {
    const clang::ValueDecl* named = named_by(value);
    if (named != nullptr) unit_.moved.insert(named);
  }
  void use_untracked() { unit_.result.program.untracked = true; }
  void note_use(const clang::ValueDecl* variable) {
    if (!unit_.in_system(variable->getLocation()) && variable->getType()->isPointerType()) {
      pointers.try_emplace(variable);
    }
  }
  void note_value(const clang::ValueDecl* variable, const clang::Expr* value) {
    const bool null =
        value->IgnoreParenCasts()->isNullPointerConstant(
            unit_.context, clang::Expr::NPC_ValueDependentIsNotNull) != clang::Expr::NPCK_NotNull;
    if (null || !variable->getType()->isPointerType()) return;
    pointers[variable].push_back(unit_.line(value->getExprLoc()));
  }
  void expose(const clang::ValueDecl* declaration) {
    if (declaration != nullptr) unit_.exposed.insert(declaration);
  }
  /// One call with one number, outside loops, chooses a device for good.
  void note_device(const clang::CallExpr* call) {
    clang::Expr::EvalResult value;
    const bool known = call->getNumArgs() == 1 && !call->getArg(0)->isValueDependent() &&
                       call->getArg(0)->EvaluateAsInt(value, unit_.context);
    devices_.insert(known ? std::to_string(value.Val.getInt().getExtValue())
                          : "?" + std::to_string(unit_.line(call->getExprLoc())));
    unit_.several_devices = unit_.several_devices || devices_.size() > 1 || (!known && loops_ > 0);
  }
  void note_semaphore(const clang::ValueDecl* variable, const clang::Expr* value) {
    const auto* call = llvm::dyn_cast_or_null<clang::CallExpr>(bare(value));
    if (call == nullptr || name_of_call(call) != "dispatch_semaphore_create") return;
    clang::Expr::EvalResult count;
    const bool zero = call->getNumArgs() == 1 &&
                      call->getArg(0)->EvaluateAsInt(count, unit_.context) &&
                      count.Val.getInt() == 0;
    if (!zero) unit_.counting.insert(variable);
  }

  Unit& unit_;
  int inside_block_ = 0;
  int loops_ = 0;
  std::set<std::string> devices_;
  std::set<const clang::DeclRefExpr*> callees_;
};

std::string name_of(const Code& code) {
  if (const auto* method = llvm::dyn_cast<clang::ObjCMethodDecl>(code.declaration)) {
    return method->getSelector().getNameForSlot(0).str();
  }
  if (code.block) return "handler";
  const auto* named = llvm::dyn_cast<clang::NamedDecl>(code.declaration);
  return named != nullptr ? named->getNameAsString() : "block";
}

bool declared_elsewhere(const Unit& unit, const clang::Decl* declaration) {
  for (const clang::Decl* one : declaration->redecls()) {
    if (!unit.in_main(one->getLocation())) return true;
  }
  return false;
}

/// Something else than a call by its name may run it: an override, a selector, a pointer.
bool is_exposed(const Surveyor& surveyor, const Code& code) {
  if (code.block) return false;
  if (const auto* method = llvm::dyn_cast<clang::ObjCMethodDecl>(code.declaration)) {
    return method->isOverriding() ||
           surveyor.selectors.contains(method->getSelector().getAsString());
  }
  const auto* function = llvm::cast<clang::FunctionDecl>(code.declaration);
  const auto* method = llvm::dyn_cast<clang::CXXMethodDecl>(function);
  return surveyor.taken.contains(function->getCanonicalDecl()) ||
         (method != nullptr && method->isVirtual());
}

/// Code in other files may call it.
bool is_external(const Unit& unit, const Surveyor& surveyor, const Code& code) {
  if (code.block) return false;
  if (is_exposed(surveyor, code)) return true;
  if (const auto* method = llvm::dyn_cast<clang::ObjCMethodDecl>(code.declaration)) {
    const auto* interface = method->getClassInterface();
    return interface == nullptr || !unit.in_main(interface->getLocation());
  }
  const auto* function = llvm::cast<clang::FunctionDecl>(code.declaration);
  if (function->isMain()) return false;
  if (const auto* method = llvm::dyn_cast<clang::CXXMethodDecl>(function)) {
    return !unit.in_main(method->getParent()->getLocation());
  }
  if (!function->isExternallyVisible()) return false;
  return !surveyor.has_main || declared_elsewhere(unit, function);
}

/// Pointers that nothing that can be followed gives a value may lead to any memory.
void note_unseen_pointers(Unit& unit, const Surveyor& surveyor) {
  if (unit.context.getLangOpts().CUDA) return;
  const auto followed = [&](unsigned line) {
    return std::none_of(surveyor.found.begin(), surveyor.found.end(), [&](const Code& code) {
      const Function& function = unit.result.program.functions[code.index];
      return !code.opaque.empty() && function.line <= line && line <= function.end_line;
    });
  };
  for (const auto& [variable, lines] : surveyor.pointers) {
    const bool seen = unit.exposed.contains(variable) ||
                      (!lines.empty() && std::all_of(lines.begin(), lines.end(), followed));
    if (!seen) unit.unseen_pointers.insert(variable);
  }
}

}  // namespace

std::vector<Code> survey(Unit& unit, const std::vector<std::pair<unsigned, std::string>>& errors) {
  Surveyor surveyor(unit);
  surveyor.TraverseDecl(unit.context.getTranslationUnitDecl());
  for (const clang::Decl* stream : surveyor.nonblocking) unit.blocking_streams.erase(stream);
  auto all = errors;
  all.insert(all.end(), surveyor.broken.begin(), surveyor.broken.end());
  bool any_opaque = false;
  unit.result.program.functions.resize(surveyor.found.size());
  for (Code& code : surveyor.found) {
    Function& function = unit.result.program.functions[code.index];
    function.name = name_of(code);
    function.line = unit.line(code.body->getBeginLoc());
    function.end_line = unit.line(code.body->getEndLoc());
    function.block = code.block;
    function.external = is_external(unit, surveyor, code);
    function.exposed = is_exposed(surveyor, code);
    function.symbol = code.block ? "" : symbol_of(code.declaration);
    if (const auto* plain = llvm::dyn_cast<clang::FunctionDecl>(code.declaration)) {
      function.parameters = static_cast<int>(plain->getNumParams());
    } else if (const auto* method = llvm::dyn_cast<clang::ObjCMethodDecl>(code.declaration)) {
      function.parameters = static_cast<int>(method->param_size());
    } else if (const auto* block = llvm::dyn_cast<clang::BlockDecl>(code.declaration)) {
      function.parameters = static_cast<int>(block->getNumParams());
    }
    for (const auto& [line, message] : all) {
      const bool inside = unit.in_main(code.body->getBeginLoc()) && line + 1 >= function.line &&
                          line <= function.end_line;
      if (!inside || !code.opaque.empty()) continue;
      code.opaque = fmt::format("line {}: {}", line, message);
    }
    function.opaque = code.opaque;
    any_opaque = any_opaque || !code.opaque.empty();
  }
  note_unseen_pointers(unit, surveyor);
  note_addresses(unit);
  if (any_opaque) {
    // What does not parse may call anything.
    for (Function& function : unit.result.program.functions) {
      if (!function.block) function.external = function.exposed = true;
    }
  }
  return surveyor.found;
}

}  // namespace cajal::sync::frontend
