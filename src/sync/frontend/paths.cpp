#include "sync/frontend/paths.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

#include "clang/AST/DeclCXX.h"
#include "clang/AST/DeclObjC.h"
#include "clang/AST/ExprCXX.h"
#include "clang/AST/ExprObjC.h"
#include "sync/frontend/addresses.h"
#include "sync/frontend/types.h"

namespace cajal::sync::frontend {
namespace {

/// Calls whose value is the object they are made on, or memory of it.
constexpr std::array<std::string_view, 28> kTransparent = {"contents",
                                                           "data",
                                                           "begin",
                                                           "end",
                                                           "cbegin",
                                                           "cend",
                                                           "get",
                                                           "retain",
                                                           "release",
                                                           "c_str",
                                                           "autorelease",
                                                           "value",
                                                           "mutableCopy",
                                                           "copy",
                                                           "bytes",
                                                           "mutableBytes",
                                                           "rbegin",
                                                           "rend",
                                                           "operator->",
                                                           "operator*",
                                                           "self",
                                                           "buffer",
                                                           "subspan",
                                                           "first",
                                                           "allValues",
                                                           "allObjects",
                                                           "objectEnumerator",
                                                           "reverseObjectEnumerator"};
constexpr std::array<std::string_view, 19> kForwarding = {
    "move",       "forward", "addressof",        "as_const",          "ref",       "begin",
    "end",        "data",    "cbegin",           "TransferPtr",       "RetainPtr", "next",
    "to_address", "launder", "CFBridgingRetain", "CFBridgingRelease", "CFRetain",  "get",
    "get_if"};
constexpr std::array<std::string_view, 13> kElement = {"at",
                                                       "front",
                                                       "back",
                                                       "objectAtIndex",
                                                       "objectAtIndexedSubscript",
                                                       "operator[]",
                                                       "firstObject",
                                                       "lastObject",
                                                       "anyObject",
                                                       "objectForKey",
                                                       "nextObject",
                                                       "objectForKeyedSubscript",
                                                       "object"};
/// Calls whose value is memory that nothing else names, or text that nobody writes.
constexpr std::array<std::string_view, 24> kFresh = {"newBufferWithLength",
                                                     "newBufferWithBytes",
                                                     "newBuffer",
                                                     "malloc",
                                                     "calloc",
                                                     "alloc",
                                                     "newCommandQueue",
                                                     "newCommandQueueWithMaxCommandBufferCount",
                                                     "newCommandQueueWithDescriptor",
                                                     "aligned_alloc",
                                                     "new",
                                                     "newHeapWithDescriptor",
                                                     "make_unique",
                                                     "make_shared",
                                                     "newTextureWithDescriptor",
                                                     "newTexture",
                                                     "cudaGetErrorString",
                                                     "cudaGetErrorName",
                                                     "hipGetErrorString",
                                                     "hipGetErrorName",
                                                     "strerror",
                                                     "utf8String",
                                                     "UTF8String",
                                                     "localizedDescription"};

std::string class_of(const clang::Decl* declaration) {
  const auto* context = declaration->getDeclContext();
  while (context != nullptr) {
    if (const auto* record = llvm::dyn_cast<clang::CXXRecordDecl>(context)) {
      if (!record->isLambda()) return record->getNameAsString();
    }
    if (const auto* objc = llvm::dyn_cast<clang::ObjCImplDecl>(context)) {
      return objc->getClassInterface() != nullptr ? objc->getClassInterface()->getNameAsString()
                                                  : objc->getNameAsString();
    }
    if (const auto* objc = llvm::dyn_cast<clang::ObjCContainerDecl>(context)) {
      return objc->getNameAsString();
    }
    context = context->getParent();
  }
  return "self";
}

/// The method around a lambda or block; null for other code.
const clang::Decl* method_around(const clang::Decl* code) {
  const auto* own = llvm::dyn_cast<clang::CXXMethodDecl>(code);
  const bool closure =
      llvm::isa<clang::BlockDecl>(code) || (own != nullptr && own->getParent()->isLambda());
  if (!closure) return nullptr;
  for (const auto* at = code->getDeclContext(); at != nullptr; at = at->getParent()) {
    const auto* method = llvm::dyn_cast<clang::CXXMethodDecl>(at);
    if (method != nullptr && !method->getParent()->isLambda()) return method;
    if (const auto* objc = llvm::dyn_cast<clang::ObjCMethodDecl>(at)) return objc;
  }
  return nullptr;
}

/// Of a lambda or block, that of the method around it.
Path self_path(const Unit& unit, const clang::Decl* declaration) {
  Path path;
  path.root = Root::self;
  path.name = class_of(declaration);
  const clang::Decl* method = method_around(declaration);
  if (method == nullptr) return path;
  const auto owner = unit.functions.find(method->getCanonicalDecl());
  if (owner != unit.functions.end()) path.owner = owner->second;
  return path;
}

}  // namespace

Path PathFinder::self() const { return self_path(unit_, declaration_); }

Path PathFinder::of(const clang::ValueDecl* declaration, bool) {
  if (const auto* binding = llvm::dyn_cast<clang::BindingDecl>(declaration)) {
    // What a tuple is taken apart into is not told apart.
    return binding->getHoldingVar() == nullptr && binding->getBinding() != nullptr
               ? of(binding->getBinding())
               : of(binding->getDecomposedDecl());
  }
  Path path;
  const clang::QualType type = declaration->getType();
  path.handle = is_handle(type);
  const auto* param = llvm::dyn_cast<clang::ParmVarDecl>(declaration);
  // Numbers that are passed by value are the function's own copy.
  const bool numbers = type->isArithmeticType() || type->isEnumeralType()
                           ? !is_address(unit_, declaration)
                           : type->isRecordType() && !leads_on(unit_, type);
  if (param != nullptr && !numbers) {
    const auto owner =
        unit_.functions.find(llvm::cast<clang::Decl>(param->getDeclContext())->getCanonicalDecl());
    path.root = Root::param;
    path.index = static_cast<int>(param->getFunctionScopeIndex());
    path.name = param->getNameAsString();
    path.type = type.getNonReferenceType().getCanonicalType().getUnqualifiedType().getAsString();
    if (type->isPointerType()) {
      path.type = type->getPointeeType().getCanonicalType().getUnqualifiedType().getAsString();
    }
    path.owner = owner == unit_.functions.end() ? function_ : owner->second;
    return path;
  }
  if (const auto* variable = llvm::dyn_cast<clang::VarDecl>(declaration)) {
    if (variable->isInitCapture() && variable->getInit() != nullptr) {
      return of(variable->getInit());
    }
    if (param == nullptr && (!variable->isLocalVarDecl() || variable->isStaticLocal())) {
      path.root = Root::global;
      path.name = variable->getQualifiedNameAsString();
      if (!variable->isExternallyVisible()) {
        // Another file, or another function, may have one of the same name.
        path.name +=
            fmt::format("@{}", unit_.sources().getFileOffset(unit_.sources().getExpansionLoc(
                                   variable->getCanonicalDecl()->getLocation())));
      }
      return path;
    }
    path.root = Root::local;
    const auto* home = llvm::dyn_cast<clang::Decl>(variable->getDeclContext());
    const auto owner = unit_.functions.find(home->getCanonicalDecl());
    path.owner = owner == unit_.functions.end() ? function_ : owner->second;
    path.name = fmt::format(
        "{}@{}", variable->getNameAsString(),
        unit_.sources().getFileOffset(unit_.sources().getExpansionLoc(variable->getLocation())));
    path.dies = !is_reference_like(type);
    return path;
  }
  return {};
}

Path PathFinder::value_of(const clang::Expr* call, bool foreign) const {
  Path path;
  path.root = foreign ? Root::foreign : Root::local;
  path.name = fmt::format(
      "value@{}.{}",
      unit_.sources().getFileOffset(unit_.sources().getExpansionLoc(call->getExprLoc())),
      static_cast<int>(call->getStmtClass()));
  path.handle = is_handle(call->getType());
  path.owner = function_;
  return path;
}

Path PathFinder::element(const clang::Expr* base, const clang::Expr* index, clang::QualType type) {
  Path path = of(base);
  if (path.empty() || !has_named_elements(type)) return path;
  clang::Expr::EvalResult value;
  const bool known =
      index != nullptr && !index->isValueDependent() && index->EvaluateAsInt(value, unit_.context);
  path = path.field(known ? fmt::format("[{}]", value.Val.getInt().getExtValue()) : "[*]");
  path.handle = is_handle(type);
  if (is_reference_like(type)) path.dies = false;
  return path;
}

Path PathFinder::choice(const clang::Expr* whole, const clang::Expr* one,
                        const clang::Expr* other) {
  const Path path = value_of(whole, false);
  for (const clang::Expr* branch : {one, other}) {
    Event alias;
    alias.op = Op::alias;
    alias.target = path;
    alias.source = of(branch);
    if (!alias.source.empty()) pending_.push_back(alias);
  }
  return path;
}

/// A literal list of objects, or what holds them: each of its elements may be any of them.
Path PathFinder::gathered(const clang::Expr* whole,
                          const std::vector<const clang::Expr*>& elements) {
  const Path path = value_of(whole, false);
  for (const clang::Expr* element : elements) {
    Event alias;
    alias.op = Op::alias;
    alias.target = path.field("[*]");
    alias.source = of(element);
    alias.target.handle = alias.source.handle;
    if (!alias.source.empty()) pending_.push_back(alias);
  }
  return path;
}

/// A block or lambda holds what it captures.
Path PathFinder::closure(const clang::Expr* code) {
  const Path path = value_of(code, false);
  const auto hold = [&](const std::string& name, const Path& held) {
    Event alias;
    alias.op = Op::alias;
    alias.target = path.field("^" + name);
    alias.target.handle = held.handle;
    alias.source = held;
    if (!held.empty()) pending_.push_back(alias);
  };
  const auto hold_variable = [&](const clang::ValueDecl* variable) {
    hold(variable->getNameAsString(),
         variable->getName() == "self" ? self_path(unit_, declaration_) : of(variable));
  };
  if (const auto* block = llvm::dyn_cast<clang::BlockExpr>(code)) {
    for (const auto& capture : block->getBlockDecl()->captures()) {
      hold_variable(capture.getVariable());
    }
  } else if (const auto* lambda = llvm::dyn_cast<clang::LambdaExpr>(code)) {
    for (const auto& capture : lambda->captures()) {
      if (capture.capturesThis()) hold("this", self_path(unit_, declaration_));
      if (capture.capturesVariable()) hold_variable(capture.getCapturedVar());
    }
  }
  return path;
}

Path PathFinder::message(const clang::Expr* expression) {
  const std::string name = name_of_call(expression);
  const auto* objc = llvm::dyn_cast<clang::ObjCMessageExpr>(expression);
  const clang::ObjCMethodDecl* method = objc != nullptr ? method_of(objc) : nullptr;
  // What a method in view gives back, it says itself, whatever its name.
  if (method != nullptr && unit_.functions.contains(method->getCanonicalDecl())) {
    return value_of(expression, false);
  }
  const clang::Expr* receiver = receiver_of(expression);
  const Kind value = kind_of(expression->getType());
  if (receiver == nullptr) {
    const bool fresh = is_one_of(name, kFresh);
    return value_of(expression, !fresh);
  }
  if (is_one_of(name, kTransparent)) return of(receiver);
  if (is_one_of(name, kElement)) {
    const clang::Expr* index = nullptr;
    if (const auto* call = llvm::dyn_cast<clang::CallExpr>(expression)) {
      if (call->getNumArgs() > 0) index = call->getArg(0);
    } else if (const auto* m = llvm::dyn_cast<clang::ObjCMessageExpr>(expression)) {
      if (m->getNumArgs() > 0) index = m->getArg(0);
    }
    return element(receiver, index, expression->getType());
  }
  // A getter: no arguments, a handle or pointer as its value.
  const bool getter = objc != nullptr && objc->getNumArgs() == 0 && method != nullptr &&
                      method->isPropertyAccessor();
  if (getter) {
    Path path = of(receiver);
    if (path.empty()) return value_of(expression, true);
    path = path.field(field_of_accessor(method));
    path.handle = is_handle(expression->getType());
    path.dies = false;
    return path;
  }
  if (value == Kind::encoder || value == Kind::command_buffer || is_one_of(name, kFresh) ||
      name.starts_with("init") || (value == Kind::buffer && name.starts_with("new")) ||
      name == "newLibraryWithSource" || is_text_object(expression->getType())) {
    return value_of(expression, false);
  }
  return value_of(expression, true);
}

Path PathFinder::call(const clang::CallExpr* call) {
  const std::string name = name_of_call(call);
  const clang::FunctionDecl* callee = call->getDirectCallee();
  const bool in_view = callee != nullptr && unit_.functions.contains(callee->getCanonicalDecl());
  const auto* op = llvm::dyn_cast<clang::CXXOperatorCallExpr>(call);
  if (op != nullptr && !in_view) {
    // Sums and products of records are new values, those of iterators are not.
    const bool arithmetic = op->getNumArgs() == 2 && op->getOperator() != clang::OO_Subscript &&
                            op->getOperator() != clang::OO_Equal;
    if (arithmetic && !is_reference_like(op->getArg(0)->getType())) return value_of(call, false);
    switch (op->getOperator()) {
      case clang::OO_Subscript:
        return element(op->getArg(0), op->getNumArgs() > 1 ? op->getArg(1) : nullptr,
                       op->getType());
      case clang::OO_Star:
      case clang::OO_Arrow:
      case clang::OO_Plus:
      case clang::OO_Minus:
      case clang::OO_PlusPlus:
      case clang::OO_MinusMinus:
      case clang::OO_PlusEqual:
      case clang::OO_Equal:
        return of(op->getArg(0));
      default:
        break;
    }
  }
  const auto* function = call->getDirectCallee();
  const bool known = function != nullptr && !unit_.in_system(function->getLocation());
  if (!known && call->getNumArgs() > 0 && is_one_of(name, kForwarding)) return of(call->getArg(0));
  if (llvm::isa<clang::CXXMemberCallExpr>(call) && !known) return message(call);
  if (known && unit_.functions.contains(function->getCanonicalDecl())) {
    return value_of(call, false);
  }
  return value_of(call, !is_one_of(name, kFresh));
}

/// Members and elements that lead to memory lead there from the whole as well.
void PathFinder::fill(const Path& whole, const clang::InitListExpr& list) {
  const clang::RecordDecl* record = list.getType()->getAsRecordDecl();
  std::vector<const clang::FieldDecl*> fields;
  const auto* with_bases = llvm::dyn_cast_or_null<clang::CXXRecordDecl>(record);
  const bool plain = record != nullptr && !record->isUnion() && !is_container(list.getType()) &&
                     (with_bases == nullptr || with_bases->getNumBases() == 0);
  if (plain) fields.assign(record->field_begin(), record->field_end());
  for (unsigned i = 0; i < list.getNumInits(); ++i) {
    const clang::Expr* item = list.getInit(i);
    if (item == nullptr || llvm::isa<clang::ImplicitValueInitExpr>(item)) continue;
    Path part = record == nullptr ? whole.field("[*]") : whole;
    if (i < fields.size()) part = part.field(without_underscores(fields[i]->getNameAsString()));
    part.handle = is_handle(item->getType());
    if (const auto* inner = llvm::dyn_cast<clang::InitListExpr>(bare(item))) {
      fill(part, *inner);
    } else if (is_reference_like(item->getType()) || item->getType()->isRecordType() ||
               carries_address(unit_, item)) {
      Event alias;
      alias.op = Op::alias;
      alias.target = part;
      alias.source = of(item);
      if (!alias.source.empty()) pending_.push_back(std::move(alias));
    }
  }
}

Path PathFinder::of_composed(const clang::Expr* e) {
  if (const auto* unary = llvm::dyn_cast<clang::UnaryOperator>(e)) return of(unary->getSubExpr());
  if (const auto* binary = llvm::dyn_cast<clang::BinaryOperator>(e)) {
    if (binary->getOpcode() == clang::BO_Comma) return of(binary->getRHS());
    if (binary->isAssignmentOp()) return of(binary->getLHS());
    if (binary->getLHS()->getType()->isPointerType()) return of(binary->getLHS());
    if (binary->getRHS()->getType()->isPointerType()) return of(binary->getRHS());
    if (const clang::Expr* pointer = pointer_inside(binary)) return of(pointer);
    // A number may be an address on its way back to a pointer.
    const bool number = keeps_address(*binary) && binary->getType()->isIntegerType();
    return number ? choice(e, binary->getLHS(), binary->getRHS()) : Path();
  }
  if (const auto* choose = llvm::dyn_cast<clang::AbstractConditionalOperator>(e)) {
    return choice(e, choose->getTrueExpr(), choose->getFalseExpr());
  }
  if (const auto* made = llvm::dyn_cast<clang::CXXConstructExpr>(e)) {
    if (made->getNumArgs() >= 1 && is_reference_like(made->getType())) return of(made->getArg(0));
    return value_of(e, false);
  }
  if (const auto* list = llvm::dyn_cast<clang::InitListExpr>(e)) {
    if (!list->getType()->isRecordType() && !list->getType()->isArrayType()) {
      return list->getNumInits() == 1 ? of(list->getInit(0)) : Path();
    }
    const Path value = value_of(e, false);
    fill(value, *list);
    return value;
  }
  if (const auto* list = llvm::dyn_cast<clang::CXXStdInitializerListExpr>(e)) {
    return of(list->getSubExpr());
  }
  if (const auto* made = llvm::dyn_cast<clang::CXXNewExpr>(e)) {
    const Path value = value_of(e, false);
    const auto* list = llvm::dyn_cast_or_null<clang::InitListExpr>(made->getInitializer());
    if (list != nullptr) fill(value, *list);
    return value;
  }
  if (llvm::isa<clang::BlockExpr>(e) || llvm::isa<clang::LambdaExpr>(e)) return closure(e);
  std::vector<const clang::Expr*> elements;
  if (const auto* list = llvm::dyn_cast<clang::ObjCArrayLiteral>(e)) {
    for (unsigned i = 0; i < list->getNumElements(); ++i) elements.push_back(list->getElement(i));
  } else if (const auto* pairs = llvm::dyn_cast<clang::ObjCDictionaryLiteral>(e)) {
    for (unsigned i = 0; i < pairs->getNumElements(); ++i) {
      elements.push_back(pairs->getKeyValueElement(i).Value);
    }
  }
  return elements.empty() ? Path() : gathered(e, elements);
}

Path PathFinder::of(const clang::Expr* expression) {
  const clang::Expr* e = bare(expression);
  if (e == nullptr) return {};
  if (const auto known = named_values.find(e); known != named_values.end()) return known->second;
  if (const auto* name = llvm::dyn_cast<clang::DeclRefExpr>(e)) {
    if (name->getDecl()->getName() == "self") return self_path(unit_, declaration_);
    return of(name->getDecl());
  }
  if (llvm::isa<clang::CXXThisExpr>(e)) return self_path(unit_, declaration_);
  const auto as_field = [&](const clang::Expr* base, const clang::ValueDecl* field) {
    Path path = of(base);
    if (path.empty()) path = value_of(e, true);
    path = path.field(without_underscores(field->getNameAsString()));
    path.handle = is_handle(field->getType());
    path.dies = path.dies && !is_reference_like(field->getType());
    return path;
  };
  if (const auto* member = llvm::dyn_cast<clang::MemberExpr>(e)) {
    if (const auto* shared = llvm::dyn_cast<clang::VarDecl>(member->getMemberDecl())) {
      return of(shared);
    }
    return as_field(member->getBase(), member->getMemberDecl());
  }
  if (const auto* ivar = llvm::dyn_cast<clang::ObjCIvarRefExpr>(e)) {
    return as_field(ivar->getBase(), ivar->getDecl());
  }
  if (const auto* subscript = llvm::dyn_cast<clang::ArraySubscriptExpr>(e)) {
    return element(subscript->getBase(), subscript->getIdx(), e->getType());
  }
  if (const auto* objc = llvm::dyn_cast<clang::ObjCSubscriptRefExpr>(e)) {
    return element(objc->getBaseExpr(), nullptr, e->getType());
  }
  if (llvm::isa<clang::ObjCMessageExpr>(e)) return message(e);
  if (const auto* plain = llvm::dyn_cast<clang::CallExpr>(e)) return call(plain);
  return of_composed(e);
}

}  // namespace cajal::sync::frontend
