// Foundation's classes: collections hold buffers, data objects wrap their memory, and much runs
// code later.
#include <array>
#include <string_view>

#include "clang/AST/DeclObjC.h"
#include "clang/AST/ExprObjC.h"
#include "sync/frontend/lower.h"

namespace cajal::sync::frontend {
namespace {

/// Messages that run code of the program, or that wait for code elsewhere to run.
constexpr std::array<std::string_view, 16> kRunsCode = {"performSelector",
                                                        "makeObjectsPerformSelector",
                                                        "invoke",
                                                        "addOperation",
                                                        "detachNewThreadSelector",
                                                        "scheduledTimerWithTimeInterval",
                                                        "postNotification",
                                                        "setValue",
                                                        "waitUntil",
                                                        "lockWhenCondition",
                                                        "lockBeforeDate",
                                                        "start",
                                                        "wait",
                                                        "runWith",
                                                        "runUntil",
                                                        "runMode"};

std::string class_of(clang::QualType type) {
  const auto* object = type->getAs<clang::ObjCObjectPointerType>();
  const auto* interface = object != nullptr ? object->getInterfaceDecl() : nullptr;
  return interface != nullptr ? interface->getNameAsString() : std::string();
}

bool is_data(const std::string& name) { return name == "NSData" || name == "NSMutableData"; }

/// An object that holds no memory that a device could use.
bool is_plain_value(clang::QualType type) {
  constexpr std::array<std::string_view, 8> kPlain = {"NSString", "NSMutableString", "NSNumber",
                                                      "NSError",  "NSURL",           "NSDate",
                                                      "NSBundle", "NSLock"};
  const std::string name = class_of(type);
  for (const std::string_view one : kPlain) {
    if (name == one) return true;
  }
  return type->isObjCClassType() || type->isObjCSelType();
}

bool is_object(clang::QualType type) {
  return (type->isObjCObjectPointerType() || type->isBlockPointerType()) && !is_plain_value(type);
}

bool has_block(const std::vector<const clang::Expr*>& arguments) {
  for (const clang::Expr* argument : arguments) {
    const clang::Expr* e = bare(argument);
    if (e != nullptr && e->getType()->isBlockPointerType()) return true;
  }
  return false;
}

}  // namespace

void Lowering::call_foundation(const clang::ObjCMessageExpr* call, const std::string& name,
                               const clang::Expr* receiver,
                               const std::vector<const clang::Expr*>& arguments) {
  for (const std::string_view one : kRunsCode) {
    if (!name.starts_with(one)) continue;
    return call_unknown(call, arguments, "sends " + name + ", which runs code elsewhere");
  }
  if (has_block(arguments)) return call_unknown(call, arguments, "hands code to " + name);
  store_objects(call, name, receiver, arguments);
  std::vector<const clang::Expr*> wrapped;
  if (receiver != nullptr && is_data(class_of(receiver->getType())) && name != "bytes" &&
      name != "mutableBytes" && name != "length") {
    wrapped.push_back(receiver);
  }
  for (const clang::Expr* argument : arguments) {
    if (is_data(class_of(bare(argument)->getType()))) wrapped.push_back(argument);
  }
  for (const clang::Expr* data : wrapped) {
    const Path memory = path(data);
    if (memory.empty()) continue;
    Event& event = emit(Op::host, call->getExprLoc());
    event.accesses.push_back({memory, false, false});
    if (data == receiver) event.accesses.push_back({memory, true, false});
  }
  call_system(call, arguments);
}

/// What is handed to a collection can be had from it again, and from a copy that it makes.
void Lowering::store_objects(const clang::ObjCMessageExpr* call, const std::string& name,
                             const clang::Expr* receiver,
                             const std::vector<const clang::Expr*>& arguments) {
  const bool wraps = call->getSelector().getAsString().find("NoCopy") != std::string::npos ||
                     name.find("Pointer") != std::string::npos;
  const auto make_same = [&](Path target, const Path& source) {
    if (target.empty() || source.empty()) return;
    Event& alias = emit(Op::alias, call->getExprLoc());
    alias.target = std::move(target);
    alias.source = source;
  };
  for (const clang::Expr* argument : arguments) {
    const clang::QualType type = bare(argument)->getType();
    const bool pointer = wraps && type->isAnyPointerType() && !type->isObjCObjectPointerType();
    const bool objects = type->isPointerType() && is_object(type->getPointeeType());
    if (!pointer && !objects && !is_object(type)) continue;
    const Path stored = path(argument);
    const bool gives_object = is_object(call->getType());
    if (pointer) {
      if (gives_object) make_same(path(call), stored);
      continue;
    }
    if (receiver != nullptr) make_same(path(receiver).field("[*]"), stored);
    if (gives_object) make_same(path(call).field("[*]"), stored);
  }
}

/// for (x in list): x may be any element.
void Lowering::enumerate(const clang::ObjCForCollectionStmt* loop) {
  const Path list = path(loop->getCollection());
  Path element;
  clang::QualType type;
  if (const auto* declared = llvm::dyn_cast<clang::DeclStmt>(loop->getElement())) {
    const auto* variable = llvm::cast<clang::VarDecl>(declared->getSingleDecl());
    element = paths_.of(variable);
    type = variable->getType();
  } else if (const auto* lvalue = llvm::dyn_cast<clang::Expr>(loop->getElement())) {
    element = path(lvalue);
    type = lvalue->getType();
  }
  if (element.empty()) return;
  Path source = list.empty() ? paths_.value_of(loop->getCollection(), true) : list;
  source = source.field("[*]");
  source.handle = is_handle(type);
  Event& alias = emit(Op::alias, loop->getForLoc());
  alias.target = element;
  alias.source = source;
  if (!is_token(kind_of(type))) return;
  Event& copy = emit(Op::copy, loop->getForLoc());
  copy.target = element;
  copy.source = source;
}

}  // namespace cajal::sync::frontend
