#include "runtime/cuda/handles.h"

#include <fmt/format.h>

#include "cajal/error.h"

namespace cajal {

void check_cuda(cudaError_t status, std::string_view call) {
  if (status == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());  // Told here: the next launch's check must not find it.
  throw Error(
      fmt::format("{}: {} ({})", call, cudaGetErrorString(status), cudaGetErrorName(status)));
}

CudaStream make_stream(int priority) {
  cudaStream_t stream = nullptr;
  check_cuda(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, priority),
             "cudaStreamCreateWithPriority");
  return CudaStream(stream);
}

CudaEvent make_event(EventUse use) {
  cudaEvent_t event = nullptr;
  const unsigned flags = use == EventUse::order ? cudaEventDisableTiming : cudaEventBlockingSync;
  check_cuda(cudaEventCreateWithFlags(&event, flags), "cudaEventCreateWithFlags");
  return CudaEvent(event);
}

bool await_event(cudaEvent_t event) { return cudaEventSynchronize(event) == cudaSuccess; }

CudaGraphExec capture_graph(cudaStream_t stream, const std::function<void()>& launch) {
  check_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed),
             "cudaStreamBeginCapture");
  cudaGraph_t captured = nullptr;
  try {
    launch();
  } catch (...) {
    static_cast<void>(cudaStreamEndCapture(stream, &captured));
    const CudaGraph dropped(captured);
    throw;
  }
  check_cuda(cudaStreamEndCapture(stream, &captured), "cudaStreamEndCapture");
  const CudaGraph graph(captured);
  cudaGraphExec_t executable = nullptr;
  check_cuda(
      cudaGraphInstantiate(&executable, graph.get(), cudaGraphInstantiateFlagUseNodePriority),
      "cudaGraphInstantiate");
  return CudaGraphExec(executable);
}

double nanoseconds_between(cudaEvent_t from, cudaEvent_t to) {
  constexpr double kNanosecondsPerMillisecond = 1e6;
  float milliseconds = 0.0F;
  check_cuda(cudaEventElapsedTime(&milliseconds, from, to), "cudaEventElapsedTime");
  return double{milliseconds} * kNanosecondsPerMillisecond;
}

}  // namespace cajal
