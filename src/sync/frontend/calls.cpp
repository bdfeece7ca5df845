// Calls that are no device's: helpers in view, libraries, blocks, code out of sight.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "clang/AST/DeclCXX.h"
#include "clang/AST/DeclObjC.h"
#include "clang/AST/ExprCXX.h"
#include "clang/AST/ExprObjC.h"
#include "sync/frontend/addresses.h"
#include "sync/frontend/lower.h"

namespace cajal::sync::frontend {
namespace {

constexpr std::array<std::string_view, 13> kClocks = {"now",
                                                      "CFAbsoluteTimeGetCurrent",
                                                      "CACurrentMediaTime",
                                                      "mach_absolute_time",
                                                      "clock_gettime",
                                                      "gettimeofday",
                                                      "clock",
                                                      "timeIntervalSinceDate",
                                                      "timeIntervalSinceNow",
                                                      "omp_get_wtime",
                                                      "mach_continuous_time",
                                                      "clock_gettime_nsec_np",
                                                      "date"};
/// These keep what they are given and run it at another time or on another thread.
constexpr std::array<std::string_view, 12> kRunLater = {"dispatch_async",
                                                        "dispatch_after",
                                                        "dispatch_group_async",
                                                        "dispatch_barrier_async",
                                                        "dispatch_group_notify",
                                                        "thread",
                                                        "jthread",
                                                        "async",
                                                        "pthread_create",
                                                        "atexit",
                                                        "dispatch_apply",
                                                        "enumerateObjectsUsingBlock"};
constexpr std::array<std::string_view, 3> kRunHere = {"dispatch_sync", "dispatch_barrier_sync",
                                                      "dispatch_once"};

std::vector<const clang::Expr*> arguments_of(const clang::Expr* call) {
  if (const auto* message = llvm::dyn_cast<clang::ObjCMessageExpr>(call)) {
    return {message->arg_begin(), message->arg_end()};
  }
  const auto* plain = llvm::cast<clang::CallExpr>(call);
  return {plain->arg_begin(), plain->arg_end()};
}

bool pointee_is_const(clang::QualType type) {
  if (const clang::QualType pointee = type->getPointeeType(); !pointee.isNull()) {
    return pointee.isConstQualified();
  }
  return false;
}

const clang::FunctionDecl* function_of(const clang::Expr* call) {
  const auto* plain = llvm::dyn_cast<clang::CallExpr>(call);
  return plain != nullptr ? plain->getDirectCallee() : nullptr;
}

/// stderr and the like: what is behind it no device uses.
bool is_file(clang::QualType type) {
  const clang::QualType pointee = type->getPointeeType();
  const clang::RecordDecl* record =
      pointee.isNull() ? nullptr : pointee.getCanonicalType()->getAsRecordDecl();
  if (record == nullptr) return false;
  const std::string name = record->getNameAsString();
  return name == "_IO_FILE" || name == "__sFILE" || name == "FILE";
}

bool may_be_overridden(const clang::FunctionDecl* function) {
  const auto* method = llvm::dyn_cast_or_null<clang::CXXMethodDecl>(function);
  return method != nullptr && method->isVirtual() && !method->hasAttr<clang::FinalAttr>() &&
         !method->getParent()->isEffectivelyFinal();
}

/// "normal(generator)", "generator()": numbers that the standard library makes from the state of
/// its own objects. A generator of the program's own could do anything.
bool draws_random(const clang::CXXOperatorCallExpr* call) {
  constexpr std::array<std::string_view, 4> kGenerators = {
      "mersenne_twister_engine", "linear_congruential_engine", "subtract_with_carry_engine",
      "random_device"};
  return std::all_of(call->arg_begin(), call->arg_end(), [&](const clang::Expr* argument) {
    const auto* record = argument->getType()->getAsCXXRecordDecl();
    if (record == nullptr || !record->isInStdNamespace()) return false;
    const std::string name = record->getNameAsString();
    return is_one_of(name, kGenerators) || std::string_view(name).ends_with("_distribution");
  });
}

/// MTL::HandlerFunction and its like: what it holds runs when a command buffer is done.
bool is_completion_handler(clang::QualType type) {
  const std::string name = type.getCanonicalType().getAsString();
  return name.find("function<") != std::string::npos &&
         name.find("CommandBuffer *") != std::string::npos;
}

}  // namespace

int Lowering::callable(const clang::Expr* argument) const {
  const clang::Expr* e = bare(argument);
  if (e == nullptr) return -1;
  if (const auto* made = llvm::dyn_cast<clang::CXXConstructExpr>(e)) {
    return made->getNumArgs() >= 1 ? callable(made->getArg(0)) : -1;
  }
  const clang::Decl* code = nullptr;
  if (const auto* block = llvm::dyn_cast<clang::BlockExpr>(e)) {
    code = block->getBlockDecl();
  } else if (const auto* lambda = llvm::dyn_cast<clang::LambdaExpr>(e)) {
    code = lambda->getCallOperator();
  } else if (const auto* name = llvm::dyn_cast<clang::DeclRefExpr>(e)) {
    const auto* variable = llvm::dyn_cast<clang::VarDecl>(name->getDecl());
    // A parameter's default is not what every caller passes.
    const bool fixed = variable != nullptr && !llvm::isa<clang::ParmVarDecl>(variable);
    if (fixed && variable->getInit() != nullptr && !unit_.assigned.contains(variable)) {
      return callable(variable->getInit());
    }
    code = llvm::dyn_cast<clang::FunctionDecl>(name->getDecl());
  }
  if (code == nullptr) return -1;
  const auto known = unit_.functions.find(code->getCanonicalDecl());
  return known == unit_.functions.end() ? -1 : known->second;
}

int Lowering::find_function(const clang::Expr* call) const {
  const clang::Decl* target = nullptr;
  if (const auto* message = llvm::dyn_cast<clang::ObjCMessageExpr>(call)) {
    target = method_of(message);
    const bool to_super = message->getReceiverKind() == clang::ObjCMessageExpr::SuperInstance ||
                          message->getReceiverKind() == clang::ObjCMessageExpr::SuperClass;
    if (target != nullptr && !to_super && unit_.overridden.contains(target->getCanonicalDecl())) {
      return -1;
    }
  } else if (const auto* plain = llvm::dyn_cast<clang::CallExpr>(call)) {
    target = plain->getDirectCallee();
    if (may_be_overridden(plain->getDirectCallee())) return -1;
    if (target == nullptr) return callable(plain->getCallee());
  }
  if (target == nullptr) return -1;
  auto known = unit_.functions.find(target->getCanonicalDecl());
  if (known == unit_.functions.end()) {
    const auto* function = llvm::dyn_cast<clang::FunctionDecl>(target);
    const auto* pattern =
        function != nullptr ? function->getTemplateInstantiationPattern() : nullptr;
    if (pattern == nullptr) return -1;
    known = unit_.functions.find(pattern->getCanonicalDecl());
  }
  return known == unit_.functions.end() ? -1 : known->second;
}

/// What a handler touches on its thread; a call below it may touch anything that escapes.
std::vector<Access> Lowering::handler_accesses(int block) const {
  std::vector<Access> out;
  for (const Block& part : unit_.result.program.functions[block].blocks) {
    for (const Event& event : part.events) {
      if (event.op == Op::host) {
        for (Access access : event.accesses) {
          access.handler = true;
          out.push_back(access);
        }
      } else if (event.op == Op::call || event.op == Op::unknown) {
        Path unseen;
        unseen.root = Root::foreign;
        unseen.name = fmt::format("handler{}", block);
        out.push_back({unseen, true, true});
        unseen.name += "h";
        unseen.handle = true;
        out.push_back({unseen, true, true});
      }
    }
  }
  return out;
}

/// What is passed and where the value goes.
void Lowering::describe_call(Event& event, const clang::Expr* call, const clang::Expr* receiver,
                             const std::vector<const clang::Expr*>& arguments) {
  for (const clang::Expr* argument : arguments) {
    const clang::QualType type = argument->getType();
    const bool named = is_reference_like(type) || argument->isGLValue() || type->isRecordType() ||
                       carries_address(unit_, argument);
    const bool default_stream = kind_of(type) == Kind::stream && is_null(argument, unit_.context);
    event.arguments.push_back(default_stream ? default_queue() : named ? path(argument) : Path());
  }
  if (receiver != nullptr) event.source = path(receiver);
  event.target = paths_.value_of(call, false);
}

void Lowering::call_known(const clang::Expr* call, int callee, const clang::Expr* receiver,
                          const std::vector<const clang::Expr*>& arguments) {
  Event described;
  describe_call(described, call, receiver, arguments);
  Event& event = emit(Op::call, call->getExprLoc());
  event.callee = callee;
  event.arguments = std::move(described.arguments);
  event.source = described.source;
  event.target = described.target;
}

/// A library touches what it is handed and nothing else; what it calls back runs at once.
void Lowering::call_system(const clang::Expr* call,
                           const std::vector<const clang::Expr*>& arguments) {
  std::vector<Access> accesses;
  Path first;
  for (const clang::Expr* argument : arguments) {
    const clang::Expr* plain = argument->IgnoreParenImpCasts();
    const clang::QualType type = argument->getType();
    // An address may be passed as a number.
    const bool pointer = type->isPointerType() || is_container(type) ||
                         (type->isIntegerType() && pointer_inside(argument) != nullptr) ||
                         is_container(plain->getType()) ||
                         (is_reference_like(plain->getType()) && !is_handle(plain->getType()));
    if (!pointer) continue;
    if (is_file(plain->getType())) continue;
    const Path handed = path(argument);
    if (handed.empty()) continue;
    if (first.empty()) first = handed;
    accesses.push_back({handed, false, false});
    const bool only_read =
        pointee_is_const(type) || (is_container(type) && type.isConstQualified());
    if (!only_read) accesses.push_back({handed, true, false});
  }
  if (!accesses.empty()) {
    Event& event = emit(Op::host, call->getExprLoc());
    event.accesses = std::move(accesses);
  }
  if (name_of_call(call) == "objc_setAssociatedObject" && arguments.size() > 2) {
    // Whoever asks for it by its key gets it back.
    const Path stored = path(arguments[2]);
    Event& alias = emit(Op::alias, call->getExprLoc());
    alias.target.name = "associated";
    alias.target.handle = true;
    alias.source = stored;
  }
  for (const clang::Expr* argument : arguments) {
    const int code = callable(argument);
    if (code < 0) continue;
    Event& event = emit(Op::call, call->getExprLoc());
    event.callee = code;
    event.arguments.assign(
        static_cast<std::size_t>(unit_.result.program.functions[code].parameters), first);
  }
}

void Lowering::call_unknown(const clang::Expr* call,
                            const std::vector<const clang::Expr*>& arguments,
                            const std::string& why, const clang::Decl* callee) {
  std::vector<Access> accesses;
  for (const clang::Expr* argument : arguments) {
    const Path handed = path(argument);
    if (!handed.empty()) accesses.push_back({handed, true, false});
  }
  const clang::Expr* receiver = receiver_of(call);
  const auto* plain = llvm::dyn_cast<clang::CallExpr>(call);
  if (receiver == nullptr && plain != nullptr && plain->getDirectCallee() == nullptr) {
    receiver = plain->getCallee();  // A block or function pointer, and what it holds.
  }
  const auto* operation = llvm::dyn_cast<clang::CXXOperatorCallExpr>(call);
  if (operation != nullptr && operation->getNumArgs() > 0) receiver = operation->getArg(0);
  if (receiver != nullptr) {
    const Path handed = path(receiver);
    if (!handed.empty()) accesses.push_back({handed, true, false});
  }
  Event described;
  if (callee != nullptr) {
    described.symbol = symbol_of(callee);
    describe_call(described, call, receiver_of(call), arguments);
  }
  Event& event = emit(Op::unknown, call->getExprLoc());
  event.symbol = described.symbol;
  event.arguments = std::move(described.arguments);
  event.source = described.source;
  event.target = described.target;
  event.traits.touches_all = true;
  event.accesses = std::move(accesses);
  event.text = why;
}

bool Lowering::call_dispatch(const clang::Expr* call, const std::string& name,
                             const std::vector<const clang::Expr*>& arguments) {
  if (name == "dispatch_semaphore_wait" && !arguments.empty()) {
    const clang::ValueDecl* semaphore = named_by(arguments[0]);
    const bool counts = semaphore == nullptr || unit_.counting.contains(semaphore);
    Path target = path(arguments[0]);
    if (counts) {
      target = {};
      target.name = "slots";
    }
    add_wait(call, target, Settled::semaphore,
             counts ? "bounds the work in flight by a counting semaphore"
                    : "waits for a semaphore that a completion handler signals");
    return true;
  }
  if (name == "dispatch_semaphore_signal" && !arguments.empty()) {
    unit_.signals[index_].push_back(path(arguments[0]));
    return true;
  }
  if (name == "dispatch_semaphore_create") return true;
  if (name == "dispatch_group_wait" || name == "dispatch_block_wait") {
    call_unknown(call, arguments, "waits for what other code signals by " + name);
    return true;
  }
  if (is_one_of(name, kRunHere)) {
    for (const clang::Expr* argument : arguments) {
      const int code = callable(argument);
      if (code >= 0) call_known(call, code, nullptr, {});
    }
    return true;
  }
  if (!is_one_of(name, kRunLater)) return false;
  call_unknown(call, arguments, fmt::format("hands code to {}", name));
  return true;
}

void Lowering::call(const clang::Expr* call) {
  const std::string name = name_of_call(call);
  std::vector<const clang::Expr*> arguments = arguments_of(call);
  if (const auto* launched = llvm::dyn_cast<clang::CUDAKernelCallExpr>(call)) {
    launch(launched);
    return;
  }
  if (const auto* op = llvm::dyn_cast<clang::CXXOperatorCallExpr>(call)) {
    const clang::FunctionDecl* function = op->getDirectCallee();
    const bool system = function == nullptr || unit_.in_system(function->getLocation());
    const bool written_by_compiler =
        function != nullptr && (function->isImplicit() || function->isDefaulted());
    if (op->getOperator() == clang::OO_Equal && (system || written_by_compiler)) {
      if (system) end_parts(op->getArg(0), "reset", call->getExprLoc());
      return assign(op->getArg(0), op->getArg(1));
    }
    if (op->getOperator() == clang::OO_Call) {
      const int code = find_function(call);
      arguments.erase(arguments.begin());
      if (code >= 0) return call_known(call, code, op->getArg(0), arguments);
      if (draws_random(op)) return;
      return call_unknown(call, arguments, "calls through a function object");
    }
    if (system) return call_system_operator(op);
  }
  if (is_one_of(name, kClocks)) clocks_.push_back(unit_.line(call->getExprLoc()));
  if (const auto* plain = llvm::dyn_cast<clang::CallExpr>(call)) {
    if (call_cuda(plain, name)) return;
  }
  if (call_dispatch(call, name, arguments)) return;
  const clang::Expr* receiver = receiver_of(call);
  // An operator that is a method has its object as the first argument.
  const auto* operation = llvm::dyn_cast<clang::CXXOperatorCallExpr>(call);
  if (operation != nullptr && llvm::isa_and_nonnull<clang::CXXMethodDecl>(function_of(call))) {
    receiver = operation->getArg(0);
    arguments.erase(arguments.begin());
  }
  if (call_metal(call, name, receiver, arguments)) return;
  // A method of the program's own that is called as Metal's.
  if (name.starts_with("waitUntil")) unit_.result.seen_waits.insert(unit_.line(call->getExprLoc()));
  const int known = find_function(call);
  if (known >= 0) return call_known(call, known, receiver, arguments);

  const auto* message = llvm::dyn_cast<clang::ObjCMessageExpr>(call);
  if (message != nullptr) {
    const auto* method = message->getMethodDecl();
    if (method == nullptr) return call_unknown(call, arguments, "sends " + name + " to any object");
    if (unit_.in_system(method->getLocation())) {
      return call_foundation(message, name, receiver, arguments);
    }
    if (method->isPropertyAccessor() && !method->hasBody()) {
      // A setter that the compiler writes.
      if (arguments.size() == 1 && receiver != nullptr) {
        Path target = path(receiver).field(field_of_accessor(method));
        target.handle = is_handle(arguments[0]->getType());
        assign(target, arguments[0]->getType(), arguments[0]);
      }
      return;
    }
    return call_unknown(call, arguments, "calls " + name + ", which is not in view", method);
  }
  const clang::FunctionDecl* function = function_of(call);
  if (function == nullptr) return call_unknown(call, arguments, "calls through a pointer");
  if (function->getBuiltinID() != 0 || unit_.in_system(function->getLocation())) {
    if (receiver != nullptr) end_parts(receiver, name, call->getExprLoc());
    // Methods of containers work on their own memory.
    if (receiver != nullptr && is_container(receiver->getType())) {
      const auto* method = llvm::dyn_cast<clang::CXXMethodDecl>(function);
      const bool changes =
          method != nullptr && !method->isConst() &&
          (name == "push_back" || name == "resize" || name == "assign" || name == "clear" ||
           name == "insert" || name == "fill" || name == "emplace_back" || name == "swap" ||
           name == "emplace" || name == "try_emplace" || name == "insert_or_assign" ||
           name == "push_front" || name == "emplace_front");
      if (changes) {
        for (const clang::Expr* argument : arguments) {
          if (!is_reference_like(argument->getType()) && !is_handle(argument->getType())) continue;
          if (!is_handle(argument->getType()) && !argument->getType()->isPointerType()) continue;
          assign(path(receiver).field("[*]"), argument->getType(), argument);
        }
        hold(path(receiver), receiver->getType().getNonReferenceType(), arguments,
             name != "assign" && name != "insert");
        write(receiver);
      }
    }
    if (call->getType()->isRecordType()) hold(path(call), call->getType(), arguments);
    touch_receiver(receiver, function);
    touch_references(arguments, function, 0);
    return call_system(call, arguments);
  }
  if (function->isDefaulted() || function->isImplicit()) return;
  call_unknown(call, arguments, fmt::format("calls {}, which is not in view", name),
               may_be_overridden(function) ? nullptr : function);
}

/// A library's object made from pointers, handles or closures leads to what they lead to. A
/// container copies what pointers outside a list lead to.
void Lowering::hold(const Path& made, clang::QualType type,
                    const std::vector<const clang::Expr*>& arguments, bool listed) {
  if (made.empty() || kind_of(type) != Kind::other) return;
  for (const clang::Expr* argument : arguments) {
    const clang::Expr* e = bare(argument);
    if (e == nullptr) continue;
    if (const auto* list = llvm::dyn_cast<clang::CXXStdInitializerListExpr>(e)) {
      e = bare(list->getSubExpr());
    }
    if (const auto* list = llvm::dyn_cast<clang::InitListExpr>(e)) {
      hold(made, type, {list->inits().begin(), list->inits().end()}, true);
      continue;
    }
    if (const auto* inner = llvm::dyn_cast<clang::CXXConstructExpr>(e)) {
      if (!is_reference_like(inner->getType())) {
        hold(made, type, {inner->arg_begin(), inner->arg_end()}, listed);
        continue;
      }
    }
    const bool copies = is_container(type) && !listed && !is_handle(e->getType());
    const bool leads = is_reference_like(e->getType()) || holds_references(e->getType());
    if ((!leads || copies) && !llvm::isa<clang::LambdaExpr>(e)) continue;
    const Path held = path(e);
    if (held.empty()) continue;
    Event& alias = emit(Op::alias, argument->getExprLoc());
    alias.target = is_container(type) ? made.field("[*]") : made;
    alias.source = held;
  }
}

void Lowering::construct(const clang::CXXConstructExpr* made) {
  const clang::CXXConstructorDecl* constructor = made->getConstructor();
  const clang::CXXConstructorDecl* runs = constructor;
  if (constructor->isInheritingConstructor()) {
    runs = constructor->getInheritedConstructor().getConstructor();
  }
  const auto known = unit_.functions.find(runs->getCanonicalDecl());
  std::vector<const clang::Expr*> arguments(made->arg_begin(), made->arg_end());
  if (known == unit_.functions.end()) {
    const std::string name = constructor->getParent()->getNameAsString();
    if (is_one_of(name, kRunLater)) {
      call_unknown(made, arguments, fmt::format("hands code to {}", name));
    } else if (constructor->isCopyOrMoveConstructor() && !is_reference_like(made->getType())) {
      if (!arguments.empty()) read(arguments[0]);
    } else if (unit_.in_system(constructor->getLocation())) {
      touch_references(arguments, constructor, 0);
      if (!is_reference_like(made->getType())) {
        hold(paths_.of(made), made->getType(), arguments);
        if (!is_completion_handler(made->getType())) call_system(made, arguments);
      }
    } else if (!constructor->isDefaulted() && !constructor->isImplicit() &&
               !unit_.in_system(constructor->getLocation())) {
      call_unknown(made, arguments, fmt::format("makes a {}, which is not in view", name));
    }
    return;
  }
  std::vector<Path> passed;
  for (const clang::Expr* argument : arguments) passed.push_back(path(argument));
  const Path self = paths_.of(made);
  Event& event = emit(Op::call, made->getExprLoc());
  event.callee = known->second;
  event.arguments = std::move(passed);
  event.source = self;
}

}  // namespace cajal::sync::frontend
