// NVIDIA's and AMD's libraries: their work goes to the stream that a handle was given before, or to
// one that the call names.
#include <array>
#include <string_view>

#include "clang/AST/Expr.h"
#include "sync/frontend/lower.h"

namespace cajal::sync::frontend {
namespace {

bool is_device_library(std::string_view name) {
  constexpr std::array<std::string_view, 11> kPrefixes = {
      "cublas",  "cudnn",    "cufft",    "curand", "nccl",  "hipblas",
      "rocblas", "cusparse", "cusolver", "miopen", "hipfft"};
  for (const std::string_view prefix : kPrefixes) {
    if (name.starts_with(prefix)) return true;
  }
  return false;
}

bool sets_stream(std::string_view name) {
  return name.find("SetStream") != std::string_view::npos ||
         name.find("set_stream") != std::string_view::npos;
}

/// Makes a handle, which works on the default stream until it is given another.
bool makes_handle(std::string_view name) {
  constexpr std::array<std::string_view, 9> kMakers = {
      "cublasCreate",     "cublasCreate_v2",       "cudnnCreate",
      "cusolverDnCreate", "cusparseCreate",        "hipblasCreate",
      "miopenCreate",     "rocblas_create_handle", "curandCreateGenerator"};
  return is_one_of(name, kMakers);
}

/// cublasGetMatrix and the like, which return when the copy is done.
bool copies_and_waits(std::string_view name) {
  constexpr std::array<std::string_view, 4> kCopies = {"GetVector", "GetMatrix", "SetVector",
                                                       "SetMatrix"};
  if (name.ends_with("Async")) return false;
  for (const std::string_view copy : kCopies) {
    if (name.ends_with(copy)) return true;
  }
  return false;
}

bool is_handle_value(const clang::Expr* argument) {
  const clang::QualType type = argument->getType();
  return type->isPointerType() && type->getPointeeType()->isRecordType();
}

/// Where the call names its stream; -1 where it does not.
int stream_argument(const clang::CallExpr* call) {
  for (unsigned i = 0; i < call->getNumArgs(); ++i) {
    if (kind_of(call->getArg(i)->getType()) == Kind::stream) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace

/// The stream that a library's call works on.
Path Lowering::library_queue(const clang::CallExpr* call, Traits& traits) {
  if (const int given = stream_argument(call); given >= 0) return stream(call, given, traits);
  const bool by_handle = call->getNumArgs() > 0 && is_handle_value(call->getArg(0));
  const Path handle = by_handle ? path(call->getArg(0)) : Path();
  return handle.empty() ? unseen_queue() : handle;
}

/// The driver's copies and launches. Its device memory has numbers for names, which all are one
/// here.
bool Lowering::call_driver(const clang::CallExpr* call, const std::string& name) {
  const bool launches = name.starts_with("cuLaunch") || name.starts_with("cuGraphLaunch");
  if (!launches && !name.starts_with("cuMemcpy") && !name.starts_with("cuMemset")) return false;
  const bool returns_first = launches || name.find("Async") != std::string::npos;
  Traits traits;
  const Path queue = stream(call, stream_argument(call), traits);
  submit_pointers(call, queue, 0);
  Event& event = function().blocks[block_].events.back();
  event.traits = traits;
  Path memory;
  memory.root = Root::global;
  memory.name = "the driver's memory";
  event.accesses.push_back({memory, true, false});
  if (!returns_first) emit(Op::wait, call->getExprLoc()).target = queue;
  return true;
}

bool Lowering::call_library(const clang::CallExpr* call, const std::string& name) {
  if (!is_device_library(name)) return false;
  Traits traits;
  const bool sets = sets_stream(name) && call->getNumArgs() > 1;
  if (sets || (makes_handle(name) && call->getNumArgs() > 0)) {
    const Path handle = path(call->getArg(0));
    const Path queue = stream(call, sets ? 1 : -1, traits);
    if (handle.empty()) return true;
    Event& event = emit(Op::copy, call->getExprLoc());
    event.target = handle;
    event.source = queue;
    return true;
  }
  const bool copies = copies_and_waits(name);
  const Path queue = copies ? stream(call, -1, traits) : library_queue(call, traits);
  submit_pointers(call, queue, 1);
  function().blocks[block_].events.back().traits = traits;
  if (copies) emit(Op::wait, call->getExprLoc()).target = queue;
  return true;
}

}  // namespace cajal::sync::frontend
