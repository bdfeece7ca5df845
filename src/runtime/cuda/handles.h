// CUDA streams, events and graphs as values that free themselves.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>
#include <memory>
#include <string_view>
#include <type_traits>

namespace cajal {

/// Throws Error that names `call` when a CUDA call failed.
void check_cuda(cudaError_t status, std::string_view call);

/// What a destructor does with an error: nothing. A dead device has no resources to give back.
template <class Handle, cudaError_t (*destroy)(Handle)>
struct CudaDestroy {
  using pointer = Handle;
  void operator()(Handle handle) const { static_cast<void>(destroy(handle)); }
};
template <class Handle, cudaError_t (*destroy)(Handle)>
using CudaHandle = std::unique_ptr<std::remove_pointer_t<Handle>, CudaDestroy<Handle, destroy>>;

using CudaStream = CudaHandle<cudaStream_t, cudaStreamDestroy>;
using CudaEvent = CudaHandle<cudaEvent_t, cudaEventDestroy>;
using CudaGraph = CudaHandle<cudaGraph_t, cudaGraphDestroy>;
using CudaGraphExec = CudaHandle<cudaGraphExec_t, cudaGraphExecDestroy>;

/// A stream of its own, unordered with the default stream. Lower numbers go first.
CudaStream make_stream(int priority = 0);

enum class EventUse {
  order,  ///< Orders streams; cheaper.
  time,   ///< Also carries a time stamp, and a thread may sleep until it is reached.
};
CudaEvent make_event(EventUse use);

/// Blocks until the device has reached `event`; false when the device failed before it did. The one
/// place that learns of a device's progress: the queue's completion thread stands here, and
/// CudaContext::measure before a step's first replay. Host code waits in host_wait.
bool await_event(cudaEvent_t event);

/// What `launch` puts into `stream`, ready to be launched again and again.
CudaGraphExec capture_graph(cudaStream_t stream, const std::function<void()>& launch);

/// Nanoseconds from one reached event to another.
double nanoseconds_between(cudaEvent_t from, cudaEvent_t to);

}  // namespace cajal
