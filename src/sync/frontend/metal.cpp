// Metal's calls, Objective-C messages and metal-cpp methods by one set of names.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "clang/AST/ExprCXX.h"
#include "clang/AST/ExprObjC.h"
#include "sync/frontend/lower.h"

namespace cajal::sync::frontend {
namespace {

constexpr std::array<std::string_view, 3> kMakeCommand = {
    "commandBuffer", "commandBufferWithUnretainedReferences", "commandBufferWithDescriptor"};
constexpr std::array<std::string_view, 8> kOutcome = {
    "status",          "error",         "GPUStartTime", "GPUEndTime",
    "kernelStartTime", "kernelEndTime", "logs",         "errorOptions"};
constexpr std::array<std::string_view, 10> kNoEffect = {
    "enqueue",         "setLabel", "label",   "pushDebugGroup", "popDebugGroup",
    "presentDrawable", "retain",   "release", "autorelease",    "device"};
/// Questions about a resource that touch none of its memory.
constexpr std::array<std::string_view, 18> kMetadata = {
    "length", "gpuAddress",  "storageMode",     "didModifyRange", "label",   "setLabel",
    "device", "heap",        "gpuResourceID",   "allocatedSize",  "width",   "height",
    "depth",  "pixelFormat", "resourceOptions", "retain",         "release", "autorelease"};

/// Everything that the device reaches without being handed it: heaps, residency sets.
Path resident_memory() {
  Path path;
  path.root = Root::foreign;
  path.name = "heap";
  path.handle = true;
  return path;
}

std::string type_name(clang::QualType type) {
  const auto* object = type->getAs<clang::ObjCObjectPointerType>();
  if (object != nullptr && object->qual_begin() != object->qual_end()) {
    return (*object->qual_begin())->getNameAsString();
  }
  const clang::CXXRecordDecl* record = type->getPointeeCXXRecordDecl();
  return record != nullptr ? record->getNameAsString() : std::string();
}

bool holds(const clang::Stmt* statement, const clang::Expr* part) {
  if (statement == nullptr) return false;
  if (statement == part) return true;
  return std::any_of(statement->child_begin(), statement->child_end(),
                     [&](const clang::Stmt* child) { return holds(child, part); });
}

bool in_loop_condition(const clang::Stmt* statement, const clang::Expr* part) {
  if (statement == nullptr) return false;
  const clang::Expr* condition = nullptr;
  if (const auto* loop = llvm::dyn_cast<clang::WhileStmt>(statement)) condition = loop->getCond();
  if (const auto* loop = llvm::dyn_cast<clang::DoStmt>(statement)) condition = loop->getCond();
  if (const auto* loop = llvm::dyn_cast<clang::ForStmt>(statement)) condition = loop->getCond();
  if (holds(condition, part)) return true;
  return std::any_of(statement->child_begin(), statement->child_end(),
                     [&](const clang::Stmt* child) { return in_loop_condition(child, part); });
}

bool is_resource(const clang::Expr* argument) {
  return kind_of(argument->getType()) == Kind::buffer || is_container(argument->getType());
}

}  // namespace

bool Lowering::call_metal(const clang::Expr* call, const std::string& name,
                          const clang::Expr* receiver,
                          const std::vector<const clang::Expr*>& arguments) {
  const Kind kind = receiver != nullptr ? kind_of(receiver->getType()) : Kind::other;
  const Kind value = kind_of(call->getType());
  const auto* member = llvm::dyn_cast<clang::CXXMemberCallExpr>(call);
  const bool smart =
      (name == "get" || name == "operator->" || name == "operator*") && find_function(call) < 0;
  if (member != nullptr && smart) return true;
  const bool untyped = kind == Kind::any_object;
  if (kind == Kind::queue || (untyped && is_one_of(name, kMakeCommand))) {
    if (value != Kind::command_buffer && !is_one_of(name, kMakeCommand)) return true;
    Event& event = emit(Op::make, call->getExprLoc());
    event.target = paths_.value_of(call, false);
    event.source = path(receiver);
    // A descriptor may ask for unretained references too.
    event.traits.unretained = name != "commandBuffer" || !arguments.empty();
    if (name == "commandBuffer" && arguments.empty()) note_make(call, receiver);
    return true;
  }
  const bool wait_like =
      name == "waitUntilCompleted" || name == "commit" || name == "addCompletedHandler";
  if (kind == Kind::command_buffer || (untyped && wait_like)) {
    return call_command_buffer(call, name, path(receiver), arguments);
  }
  if (kind == Kind::encoder) {
    encode(call, name, path(receiver), arguments);
    return true;
  }
  if (kind == Kind::device && value == Kind::queue) {
    Event& event = emit(Op::make, call->getExprLoc());
    event.target = paths_.value_of(call, false);
    return true;
  }
  if (kind == Kind::buffer || kind == Kind::device) {
    return call_buffer(call, name, receiver, arguments);
  }
  if (name == "waitUntilSignaledValue" || name == "waitUntilSignaled") {
    Path unseen;
    unseen.root = Root::foreign;
    unseen.name = "shared event";
    add_wait(call, unseen, Settled::semaphore, "waits for a value of a shared event");
    return true;
  }
  if (find_function(call) >= 0) return false;
  // Whatever else takes a command buffer records work into it: MPS kernels, graphs.
  for (const clang::Expr* argument : arguments) {
    const Kind taken = kind_of(argument->getType());
    const bool takes = taken == Kind::command_buffer || taken == Kind::encoder;
    if (!takes || !comes_from_metal(call, kind)) continue;
    encode_kernel(call, path(argument), receiver, arguments);
    return true;
  }
  return kind == Kind::metal && call_other_metal(call, name, receiver, arguments);
}

/// Of a framework on top of Metal, not a method of the program's own whose body is elsewhere.
bool Lowering::comes_from_metal(const clang::Expr* call, Kind receiver) const {
  if (receiver == Kind::metal) return true;
  const auto* message = llvm::dyn_cast<clang::ObjCMessageExpr>(call);
  return message != nullptr && message->getMethodDecl() != nullptr &&
         unit_.in_system(message->getMethodDecl()->getLocation());
}

/// A kernel of a library may use whatever it is handed and whatever it holds.
void Lowering::encode_kernel(const clang::Expr* call, const Path& target,
                             const clang::Expr* receiver,
                             const std::vector<const clang::Expr*>& arguments) {
  std::vector<Access> accesses;
  const auto use = [&](const clang::Expr* object) {
    if (object == nullptr || is_token(kind_of(object->getType()))) return;
    if (!bare(object)->getType()->isAnyPointerType()) return;
    const Path used = path(object);
    if (used.empty()) return;
    accesses.push_back({used, false, false});
    accesses.push_back({used, true, false});
  };
  use(receiver);
  for (const clang::Expr* argument : arguments) use(argument);
  if (call->getType()->isObjCObjectPointerType()) {
    accesses.push_back({paths_.value_of(call, true), true, false});
  }
  Event& event = emit(Op::encode, call->getExprLoc());
  event.target = target;
  event.accesses = std::move(accesses);
}

/// Argument encoders, indirect commands, shared events, residency sets.
bool Lowering::call_other_metal(const clang::Expr* call, const std::string& name,
                                const clang::Expr* receiver,
                                const std::vector<const clang::Expr*>& arguments) {
  for (const clang::Expr* argument : arguments) {
    if (!bare(argument)->getType()->isBlockPointerType()) continue;
    call_unknown(call, arguments, "hands code to " + name);
    return true;
  }
  for (const clang::Expr* argument : arguments) {
    const clang::QualType type = argument->getType();
    const bool several = type->isPointerType() && is_handle(type->getPointeeType());
    if (!several && kind_of(type) != Kind::buffer && kind_of(type) != Kind::metal) continue;
    const Path memory = path(argument);
    if (memory.empty()) continue;
    // The device may find the memory through what it was written into.
    for (const Path& holder : {path(receiver).field("[*]"), resident_memory()}) {
      Event& alias = emit(Op::alias, call->getExprLoc());
      alias.target = holder;
      alias.source = memory;
    }
  }
  return true;
}

/// Only where the call initialises a variable: there it can be given another value.
void Lowering::note_make(const clang::Expr* call, const clang::Expr* receiver) {
  if (receiver == nullptr || call->getBeginLoc().isMacroID()) return;
  for (const clang::CompoundStmt* compound : compounds_of(body_)) {
    for (const clang::Stmt* child : compound->body()) {
      const auto* declared = llvm::dyn_cast<clang::DeclStmt>(child);
      if (declared == nullptr || !declared->isSingleDecl()) continue;
      const auto* variable = llvm::dyn_cast<clang::VarDecl>(declared->getSingleDecl());
      if (variable == nullptr || variable->getInit() == nullptr ||
          variable->getInit()->IgnoreImplicit() != call) {
        continue;
      }
      MakeText where;
      where.line = unit_.line(call->getExprLoc());
      where.begin = offset(call->getBeginLoc());
      where.end = where.begin + static_cast<unsigned>(text(call->getSourceRange()).size());
      where.compound = static_cast<int>(offset(compound->getBeginLoc()));
      where.name = variable->getNameAsString();
      where.queue = text(receiver->getSourceRange());
      unit_.result.makes.push_back(where);
    }
  }
}

void Lowering::commit(const clang::Expr* call, const Path& target) {
  CommitText where;
  where.line = unit_.line(call->getExprLoc());
  where.function = function().name;
  where.objc = llvm::isa<clang::ObjCMessageExpr>(call);
  where.begin = offset(call->getBeginLoc());
  where.writable = unit_.in_main(call->getBeginLoc()) && !call->getBeginLoc().isMacroID();
  const clang::Expr* receiver = receiver_of(call);
  const clang::Expr* plain = bare(receiver);
  where.writable = where.writable && plain != nullptr &&
                   (llvm::isa<clang::DeclRefExpr>(plain) || llvm::isa<clang::MemberExpr>(plain) ||
                    llvm::isa<clang::ObjCIvarRefExpr>(plain));
  if (plain != nullptr) where.command = text(plain->getSourceRange());
  where.reported = reported_.contains(where.command);
  const clang::CompoundStmt* compound = compound_with(call);
  if (compound != nullptr && where.writable) {
    where.compound = static_cast<int>(offset(compound->getBeginLoc()));
    where.end = where.begin + static_cast<unsigned>(text(call->getSourceRange()).size());
  }
  unit_.result.commits.push_back(where);
  emit(Op::commit, call->getExprLoc()).target = target;
}

bool Lowering::call_command_buffer(const clang::Expr* call, const std::string& name,
                                   const Path& target,
                                   const std::vector<const clang::Expr*>& arguments) {
  if (name == "commit" || name == "commitAndContinue") {
    commit(call, target);
  } else if (name == "waitUntilCompleted") {
    add_wait(call, target);
  } else if (name == "waitUntilScheduled") {
    Path unseen;
    unseen.name = "scheduling";
    add_wait(call, unseen, Settled::unknown, "waiting until scheduled says nothing about data");
  } else if (name == "addCompletedHandler" || name == "addScheduledHandler") {
    if (!arguments.empty()) add_handler(call, target, arguments[0]);
  } else if (is_one_of(name, kOutcome)) {
    emit(Op::status, call->getExprLoc()).target = target;
    if (name == "status" && in_loop_condition(body_, call)) {
      // Going round until the work is done is a wait of its own.
      Event& event = emit(Op::unknown, call->getExprLoc());
      event.accesses.push_back({target, true, false});
      event.text = "asks for the status until it changes";
    }
    if (name.find("Time") != std::string::npos) clocks_.push_back(unit_.line(call->getExprLoc()));
  } else if (kind_of(call->getType()) == Kind::encoder) {
    // An encoder is another name for its command buffer.
    Event& event = emit(Op::copy, call->getExprLoc());
    event.target = paths_.value_of(call, false);
    event.source = target;
    // A pass descriptor holds the textures that are drawn into.
    if (!arguments.empty()) encode_kernel(call, target, nullptr, arguments);
  } else if (!is_one_of(name, kNoEffect)) {
    encode(call, name, target, arguments);
  }
  return true;
}

/// A handler out of sight is taken to do what handlers are for.
void Lowering::note_reporting(const clang::Expr* call, int handler) {
  const auto looks = [](const Block& block) {
    return std::any_of(block.events.begin(), block.events.end(),
                       [](const Event& event) { return event.op == Op::status; });
  };
  if (handler >= 0) {
    const auto& blocks = unit_.result.program.functions[handler].blocks;
    if (std::none_of(blocks.begin(), blocks.end(), looks)) return;
  }
  const clang::Expr* receiver = receiver_of(call);
  if (receiver != nullptr) reported_.insert(text(bare(receiver)->getSourceRange()));
}

void Lowering::add_handler(const clang::Expr* call, const Path& target,
                           const clang::Expr* handler) {
  const int block = callable(handler);
  note_reporting(call, block);
  std::vector<Access> accesses;
  if (block >= 0) {
    accesses = handler_accesses(block);
  } else {
    Path unseen;
    unseen.root = Root::foreign;
    unseen.name = fmt::format("handler@{}", offset(call->getBeginLoc()));
    accesses.push_back({unseen, true, true});
    const Path held = path(handler);
    if (!held.empty()) accesses.push_back({held, true, true});
  }
  Event& event = emit(Op::encode, call->getExprLoc());
  event.target = target;
  event.accesses = accesses;
  for (const Path& semaphore : block >= 0 ? unit_.signals[block] : std::vector<Path>()) {
    Event& copy = emit(Op::copy, call->getExprLoc());
    copy.target = semaphore;
    copy.source = target;
  }
}

void Lowering::encode(const clang::Expr* call, const std::string& name, const Path& target,
                      const std::vector<const clang::Expr*>& arguments) {
  Event event;
  event.op = Op::encode;
  event.line = unit_.line(call->getExprLoc());
  event.target = target;
  const bool copies = name.starts_with("copyFrom");
  bool first = true;
  for (const clang::Expr* argument : arguments) {
    if (!is_resource(argument) && !(argument->getType()->isPointerType() &&
                                    is_handle(argument->getType()->getPointeeType()))) {
      continue;
    }
    const Path touched = path(argument);
    if (touched.empty()) continue;
    const bool only_read = (copies && first) || name == "synchronizeResource";
    event.accesses.push_back({touched, false, false});
    if (!only_read) event.accesses.push_back({touched, true, false});
    first = false;
  }
  if (name == "setBytes" || name == "setBytes:length:atIndex:") {
    call_system(call, arguments);
    return;
  }
  if (name == "executeCommandsInBuffer" || name == "useHeap" || name == "useHeaps") {
    event.accesses.push_back({resident_memory(), true, false});
  }
  if (unit_.resident) event.accesses.push_back({resident_memory(), true, false});
  if (event.accesses.empty()) return;
  function().blocks[block_].events.push_back(std::move(event));
}

bool Lowering::call_buffer(const clang::Expr* call, const std::string& name,
                           const clang::Expr* receiver,
                           const std::vector<const clang::Expr*>& arguments) {
  if (name == "newBufferWithBytesNoCopy" || (name == "newBuffer" && arguments.size() > 3)) {
    Event& alias = emit(Op::alias, call->getExprLoc());
    alias.target = paths_.value_of(call, false);
    alias.source = path(arguments[0]);
    flush_aliases(call->getExprLoc());
    return true;
  }
  if (name == "getBytes" || name == "replaceRegion") {
    const bool reads = name == "getBytes";
    Event& event = emit(Op::host, call->getExprLoc());
    event.text = fmt::format("{} `{}` by {}", reads ? "reads" : "writes",
                             to_string(paths_.of(receiver)), name);
    event.accesses.push_back({paths_.of(receiver), !reads, false});
    flush_aliases(call->getExprLoc());
    if (reads) call_system(call, arguments);
    return true;
  }
  if (name.starts_with("new") && kind_of(receiver->getType()) == Kind::buffer) {
    // A view of a buffer or texture, or a part of a heap.
    Event& alias = emit(Op::alias, call->getExprLoc());
    alias.target = paths_.value_of(call, false);
    const bool heap = type_name(receiver->getType()).ends_with("Heap");
    alias.source = heap ? resident_memory() : path(receiver);
    return true;
  }
  if (is_one_of(name, kMetadata) || name == "contents") return true;
  if (name.starts_with("init") || name.starts_with("new")) {
    for (const clang::Expr* argument : arguments) {
      if (!is_resource(argument)) continue;
      Event& alias = emit(Op::alias, call->getExprLoc());
      alias.target = paths_.value_of(call, false);
      alias.source = paths_.of(argument);
    }
    call_system(call, arguments);
    return true;
  }
  for (const clang::Expr* argument : arguments) {
    if (kind_of(argument->getType()) != Kind::command_buffer) continue;
    encode_kernel(call, path(argument), receiver, arguments);
    return true;
  }
  if (kind_of(receiver->getType()) != Kind::buffer || find_function(call) >= 0) {
    return find_function(call) < 0;
  }
  touch_resource(call, receiver, arguments);
  return true;
}

/// A method of a resource that has no part here of its own: getters give parts of it, the rest may
/// read and write it.
void Lowering::touch_resource(const clang::Expr* call, const clang::Expr* receiver,
                              const std::vector<const clang::Expr*>& arguments) {
  const Path memory = path(receiver);
  if (memory.empty()) return;
  if (is_handle(call->getType())) {
    Event& alias = emit(Op::alias, call->getExprLoc());
    alias.target = path(call);
    alias.source = memory;
    return;
  }
  Event& event = emit(Op::host, call->getExprLoc());
  event.accesses.push_back({memory, false, false});
  event.accesses.push_back({memory, true, false});
  call_system(call, arguments);
}

}  // namespace cajal::sync::frontend
