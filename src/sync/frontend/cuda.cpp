// The CUDA runtime's calls; HIP's are the same behind another prefix.
#include <fmt/format.h>

#include <map>
#include <string_view>

#include "clang/AST/ExprCXX.h"
#include "sync/frontend/lower.h"

namespace cajal::sync::frontend {
namespace {

enum class Role {
  none,
  wait_stream,
  wait_device,
  wait_event,
  copy,  // Blocking, by kind.
  copy_async,
  fill,
  fill_async,
  to_symbol,
  record,
  order,
  make,   // Writes a stream or event through its first argument.
  fresh,  // Writes a pointer through its first argument.
  managed,
  alias_pointer,  // cudaHostGetDevicePointer(&device, host, flags)
  release,
  release_host,
  elapsed,
  host_function,
  graph,
  capture,
  launch,
  prefetch,
};

struct Entry {
  Role role = Role::none;
  int stream = -1;  // Position of the stream argument.
  int destination = 0;
  int source = 1;
  int kind = 3;
};

/// By the name behind "cuda" or "hip".
const std::map<std::string_view, Entry>& table() {
  static const std::map<std::string_view, Entry> entries = {
      {"StreamSynchronize", {Role::wait_stream, 0}},
      {"DeviceSynchronize", {Role::wait_device}},
      {"ThreadSynchronize", {Role::wait_device}},
      {"CtxSynchronize", {Role::wait_device}},
      {"EventSynchronize", {Role::wait_event, 0}},
      {"Memcpy", {Role::copy, -1, 0, 1, 3}},
      {"Memcpy2D", {Role::copy, -1, 0, 2, 6}},
      {"MemcpyAsync", {Role::copy_async, 4, 0, 1, 3}},
      {"Memcpy2DAsync", {Role::copy_async, 7, 0, 2, 6}},
      {"MemcpyToSymbol", {Role::to_symbol, -1, 0, 1, 4}},
      {"MemcpyFromSymbol", {Role::copy, -1, 0, 1, 4}},
      {"MemcpyToSymbolAsync", {Role::copy_async, 5, 0, 1, 4}},
      {"MemcpyFromSymbolAsync", {Role::copy_async, 5, 0, 1, 4}},
      {"MemcpyPeerAsync", {Role::copy_async, 5, 0, 2, -1}},
      {"Memset", {Role::fill}},
      {"Memset2D", {Role::fill}},
      {"MemsetAsync", {Role::fill_async, 3}},
      {"Memset2DAsync", {Role::fill_async, 5}},
      {"EventRecord", {Role::record, 1, 0}},
      {"StreamWaitEvent", {Role::order, 0, 1}},
      {"StreamCreate", {Role::make}},
      {"StreamCreateWithFlags", {Role::make}},
      {"StreamCreateWithPriority", {Role::make}},
      {"EventCreate", {Role::make}},
      {"EventCreateWithFlags", {Role::make}},
      {"Malloc", {Role::fresh}},
      {"MallocAsync", {Role::fresh}},
      {"MallocHost", {Role::fresh}},
      {"HostAlloc", {Role::fresh}},
      {"HostMalloc", {Role::fresh}},
      {"MallocPitch", {Role::fresh}},
      {"MallocManaged", {Role::managed}},
      {"HostGetDevicePointer", {Role::alias_pointer}},
      {"Free", {Role::release}},
      {"FreeHost", {Role::release_host}},
      {"HostFree", {Role::release_host}},
      {"HostUnregister", {Role::release_host}},
      {"EventElapsedTime", {Role::elapsed}},
      {"LaunchHostFunc", {Role::host_function, 0, 1, 2}},
      {"StreamAddCallback", {Role::host_function, 0, 1, 2}},
      {"GraphLaunch", {Role::graph, 1}},
      {"StreamBeginCapture", {Role::capture}},
      {"StreamEndCapture", {Role::capture}},
      {"LaunchKernel", {Role::launch, 5}},
      {"LaunchCooperativeKernel", {Role::launch, 5}},
      {"MemPrefetchAsync", {Role::prefetch, 3}},
      {"FreeAsync", {Role::fill_async, 1}},
  };
  return entries;
}

std::string_view behind_prefix(std::string_view name) {
  for (const std::string_view prefix : {"cuda", "hip"}) {
    if (name.starts_with(prefix)) return name.substr(prefix.size());
  }
  return name == "cuCtxSynchronize"      ? "CtxSynchronize"
         : name == "cuStreamSynchronize" ? "StreamSynchronize"
                                         : "";
}

Path default_stream() {
  Path path;
  path.root = Root::global;
  path.name = "default stream";
  return path;
}

}  // namespace

Path unseen_queue() {
  Path path;
  path.root = Root::foreign;
  path.name = "stream out of sight";
  return path;
}

Path Lowering::default_queue() const {
  return unit_.several_devices ? unseen_queue() : default_stream();
}

Path Lowering::stream(const clang::CallExpr* call, int argument, Traits& traits) {
  const bool given = argument >= 0 && static_cast<int>(call->getNumArgs()) > argument;
  const clang::Expr* written = given ? call->getArg(static_cast<unsigned>(argument)) : nullptr;
  if (written != nullptr && llvm::isa<clang::CXXDefaultArgExpr>(written)) written = nullptr;
  if (written == nullptr || is_null(bare(written), unit_.context)) {
    traits.legacy = !unit_.per_thread_stream;
    return default_queue();
  }
  const clang::ValueDecl* named = named_by(written);
  traits.blocking = named != nullptr && unit_.blocking_streams.contains(named);
  const Path found = path(written);
  return found.empty() ? unseen_queue() : found;
}

void Lowering::submit_pointers(const clang::CallExpr* call, const Path& queue, unsigned first) {
  std::vector<Access> accesses;
  for (unsigned i = first; i < call->getNumArgs(); ++i) {
    const clang::Expr* argument = call->getArg(i);
    const clang::QualType type = argument->getType();
    if (!type->isPointerType() && !type->isRecordType() && !is_container(type)) continue;
    const Kind kind = kind_of(type);
    if (kind == Kind::stream || kind == Kind::event) continue;
    // A library's result or factor in a variable of the host: it is there when the call returns.
    const auto* address = llvm::dyn_cast<clang::UnaryOperator>(bare(argument));
    if (address != nullptr && address->getOpcode() == clang::UO_AddrOf && first > 0) continue;
    const Path touched = path(argument);
    if (touched.empty()) continue;
    const bool only_read = type->isPointerType() && type->getPointeeType().isConstQualified();
    accesses.push_back({touched, false, false});
    if (!only_read) accesses.push_back({touched, true, false});
  }
  Event& event = emit(Op::submit, call->getExprLoc());
  event.target = queue;
  event.accesses = std::move(accesses);
}

void Lowering::launch(const clang::CUDAKernelCallExpr* call) {
  Traits traits;
  const clang::CallExpr* config = call->getConfig();
  const Path queue = stream(config, 3, traits);
  submit_pointers(call, queue, 0);
  Event& event = function().blocks[block_].events.back();
  event.traits = traits;
  for (const clang::Decl* managed : unit_.managed) {
    const auto* variable = llvm::dyn_cast<clang::VarDecl>(managed);
    if (variable != nullptr && variable->hasGlobalStorage()) {
      event.accesses.push_back({paths_.of(variable), true, false});
    }
  }
}

/// What a copy reads or writes. Of &pointer it is the pointer, which has the name of its memory.
void Lowering::touch(std::vector<Access>& accesses, const clang::Expr* memory, bool written) {
  const Path touched = path(memory);
  if (touched.empty()) return;
  accesses.push_back({touched, written, false});
  const auto* address = llvm::dyn_cast<clang::UnaryOperator>(bare(memory));
  if (address == nullptr || address->getOpcode() != clang::UO_AddrOf) return;
  if (!is_reference_like(address->getSubExpr()->getType())) return;
  accesses.push_back({slot_of(touched), written, false});
}

void Lowering::copy_cuda(const clang::CallExpr* call, const std::string& what) {
  const Entry& entry = table().at(what);
  const auto argument = [&](int at) -> const clang::Expr* {
    return at >= 0 && at < static_cast<int>(call->getNumArgs())
               ? call->getArg(static_cast<unsigned>(at))
               : nullptr;
  };
  const clang::Expr* kind = argument(entry.kind);
  const clang::ValueDecl* named = kind != nullptr ? named_by(kind) : nullptr;
  const std::string direction = named != nullptr ? named->getNameAsString() : "";
  const bool to_host = direction.ends_with("DeviceToHost");
  const bool to_device = direction.ends_with("HostToDevice");
  const Path source = path(argument(entry.source));
  std::vector<Access> accesses;
  touch(accesses, argument(entry.source), false);
  touch(accesses, argument(entry.destination), true);
  if (entry.role == Role::copy_async) {
    Traits traits;
    const Path queue = stream(call, entry.stream, traits);
    Event& event = emit(Op::submit, call->getExprLoc());
    event.target = queue;
    event.accesses = std::move(accesses);
    event.traits = traits;
    return;
  }
  if (to_device && !source.empty()) {
    // The source is read or staged before the call returns; what it waits for besides varies.
    Event& event = emit(Op::host, call->getExprLoc());
    event.accesses.push_back({source, false, false});
    emit(Op::wait, call->getExprLoc()).target = unseen_queue();
    return;
  }
  Event& event = emit(Op::submit, call->getExprLoc());
  event.target = default_queue();
  event.accesses = std::move(accesses);
  event.traits.legacy = !unit_.per_thread_stream;
  if (direction.ends_with("DeviceToDevice")) return;
  const bool known = to_host && !unit_.several_devices;
  emit(Op::wait, call->getExprLoc()).target = known ? default_stream() : unseen_queue();
}

bool Lowering::call_cuda(const clang::CallExpr* call, const std::string& name) {
  const clang::FunctionDecl* function_called = call->getDirectCallee();
  if (function_called == nullptr || llvm::isa<clang::CXXMethodDecl>(function_called)) return false;
  // A function of the same name with a body in view is the program's own.
  if (find_function(call) >= 0) return false;
  const std::string_view what = behind_prefix(name);
  const auto found = table().find(what);
  if (found == table().end()) {
    if (call_library(call, name) || call_driver(call, name)) return true;
    if (what == "StreamQuery" || what == "EventQuery") {
      // A loop around it waits.
      const Path asked = call->getNumArgs() > 0 ? path(call->getArg(0)) : Path();
      Event& event = emit(Op::unknown, call->getExprLoc());
      if (!asked.empty()) event.accesses.push_back({asked, true, false});
      event.text = fmt::format("asks by {} whether the work is done", name);
      return true;
    }
    if (what.starts_with("Memcpy") || what.starts_with("Memset")) {
      call_unknown(call, {call->arg_begin(), call->arg_end()},
                   fmt::format("{} copies in a way that is not followed", name));
      return true;
    }
    return !what.empty() && unit_.in_system(function_called->getLocation());
  }
  const Entry& entry = found->second;
  const auto at = call->getExprLoc();
  const auto argument = [&](unsigned i) {
    return i < call->getNumArgs() ? call->getArg(i) : nullptr;
  };
  Traits traits;
  switch (entry.role) {
    case Role::wait_stream: {
      const Path target = stream(call, 0, traits);
      add_wait(call, target);
      break;
    }
    case Role::wait_device:
      if (unit_.several_devices) {
        add_wait(call, unseen_queue(), Settled::unknown,
                 "it waits for the current device alone, and the file uses several");
      } else {
        add_wait(call, {});
      }
      break;
    case Role::wait_event:
      add_wait(call, path(argument(0)));
      break;
    case Role::copy:
    case Role::copy_async:
    case Role::to_symbol:
      copy_cuda(call, std::string(what));
      break;
    case Role::fill:
    case Role::fill_async:
    case Role::prefetch: {
      const Path queue = stream(call, entry.stream, traits);
      const Path touched = path(argument(0));
      Event& event = emit(Op::submit, at);
      event.target = queue;
      event.traits = traits;
      if (!touched.empty()) event.accesses.push_back({touched, true, false});
      break;
    }
    case Role::record: {
      const Path queue = stream(call, 1, traits);
      const Path marker = path(argument(0));
      Event& event = emit(Op::record, at);
      event.target = marker;
      event.source = queue;
      break;
    }
    case Role::order: {
      const Path queue = stream(call, 0, traits);
      const Path marker = path(argument(1));
      Event& event = emit(Op::order, at);
      event.target = queue;
      event.source = marker;
      break;
    }
    case Role::make: {
      const Path target = path(argument(0));
      emit(Op::make, at).target = target;
      break;
    }
    case Role::alias_pointer: {
      const Path target = path(argument(0));
      const Path source = path(argument(1));
      Event& event = emit(Op::alias, at);
      event.target = target;
      event.source = source;
      break;
    }
    case Role::release: {
      const Path target = path(argument(0));
      Event& event = emit(Op::unknown, at);
      if (!target.empty()) event.accesses.push_back({target, true, false});
      event.text =
          fmt::format("frees `{}`, which may wait for the device or not", to_string(target));
      break;
    }
    case Role::release_host: {
      const Path target = path(argument(0));
      Event& event = emit(Op::host, at);
      if (!target.empty()) event.accesses.push_back({target, true, false});
      event.text = fmt::format("frees `{}`", to_string(target));
      break;
    }
    case Role::elapsed: {
      const clang::Expr* last = argument(2);
      if (last != nullptr) emit(Op::status, at).target = path(last);
      clocks_.push_back(unit_.line(at));
      clocks_.push_back(0);
      break;
    }
    case Role::host_function:
    case Role::graph:
    case Role::launch: {
      const Path queue = stream(call, entry.stream, traits);
      Event& event = emit(Op::submit, at);
      event.target = queue;
      event.traits = traits;
      Path all;
      all.root = Root::foreign;
      all.name = fmt::format("work@{}", offset(call->getBeginLoc()));
      event.accesses.push_back({all, true, entry.role == Role::host_function});
      const unsigned data = entry.role == Role::launch ? 3U : 2U;
      if (entry.role != Role::graph && argument(data) != nullptr) {
        const Path handed = paths_.of(argument(data));
        if (!handed.empty())
          event.accesses.push_back({handed, true, entry.role == Role::host_function});
      }
      break;
    }
    case Role::capture:
      capture_ = "the function captures a stream, where nothing may be moved";
      break;
    case Role::fresh:
    case Role::managed:
    case Role::none:
      break;
  }
  return true;
}

}  // namespace cajal::sync::frontend
