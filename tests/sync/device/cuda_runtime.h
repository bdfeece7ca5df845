// The CUDA runtime on the fake device: kernels are host functions, launched by fake::launch, into
// which the test turns `kernel<<<grid, block, shared, stream>>>(...)`.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "fake.h"

#define __host__
#define __device__
#define __global__
#define __forceinline__ inline

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
inline dim3 threadIdx, blockIdx, blockDim, gridDim;

enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorNotReady = 600 };
enum cudaMemcpyKind {
  cudaMemcpyHostToHost,
  cudaMemcpyHostToDevice,
  cudaMemcpyDeviceToHost,
  cudaMemcpyDeviceToDevice,
  cudaMemcpyDefault
};
enum { cudaStreamDefault = 0, cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2 };

struct CUstream_st {
  std::shared_ptr<fake::Queue> queue = std::make_shared<fake::Queue>();
  bool blocking = true;
};
struct CUevent_st {
  fake::Ref mark;
};
using cudaStream_t = CUstream_st*;
using cudaEvent_t = CUevent_st*;
using cudaHostFn_t = void (*)(void*);

namespace fake {

struct Streams {
  CUstream_st legacy;
  std::vector<cudaStream_t> all;
};
inline Streams& streams() {
  static Streams made;
  return made;
}

/// The legacy default stream and blocking streams wait for one another.
inline Ref enqueue(cudaStream_t stream, std::function<void()> work, std::vector<Ref> after = {}) {
  Streams& known = streams();
  const bool legacy = stream == nullptr || stream == &known.legacy;
  cudaStream_t target = legacy ? &known.legacy : stream;
  const auto add = [&](cudaStream_t one) {
    if (one->queue->last != nullptr) after.push_back(one->queue->last);
  };
  if (legacy) {
    for (cudaStream_t one : known.all) {
      if (one->blocking) add(one);
    }
  } else if (stream->blocking) {
    add(&known.legacy);
  }
  Ref made = Device::get().submit(target->queue, std::move(work), std::move(after));
  Device::get().tick();
  return made;
}

struct Launch {
  dim3 grid;
  dim3 block;
  std::size_t shared = 0;
  cudaStream_t stream = nullptr;
};

template <class... P, class... A>
void launch(Launch how, void (*kernel)(P...), A... arguments) {
  const auto run = [how, kernel](std::decay_t<P>... handed) {
    gridDim = how.grid;
    blockDim = how.block;
    for (blockIdx.x = 0; blockIdx.x < how.grid.x; ++blockIdx.x) {
      for (threadIdx.x = 0; threadIdx.x < how.block.x; ++threadIdx.x) kernel(handed...);
    }
  };
  enqueue(how.stream, [run, arguments...] { run(static_cast<P>(arguments)...); });
}

/// Freed memory holds other values from then on.
inline std::vector<std::pair<void*, std::size_t>>& allocations() {
  static std::vector<std::pair<void*, std::size_t>> made;
  return made;
}
inline void spoil(void* memory) {
  for (const auto& [begin, bytes] : allocations()) {
    if (begin == memory) std::memset(memory, 0x5A, bytes);
  }
}
template <class T>
cudaError_t allocate(T** out, std::size_t bytes) {
  void* memory = std::calloc(1, bytes);
  allocations().emplace_back(memory, bytes);
  *out = static_cast<T*>(memory);
  return cudaSuccess;
}

}  // namespace fake

template <class T>
cudaError_t cudaMalloc(T** out, std::size_t bytes) {
  return fake::allocate(out, bytes);
}
template <class T>
cudaError_t cudaMallocHost(T** out, std::size_t bytes) {
  return fake::allocate(out, bytes);
}
template <class T>
cudaError_t cudaHostAlloc(T** out, std::size_t bytes, unsigned) {
  return fake::allocate(out, bytes);
}
template <class T>
cudaError_t cudaMallocManaged(T** out, std::size_t bytes) {
  return fake::allocate(out, bytes);
}
/// Freeing may wait for the device or not.
inline cudaError_t cudaFree(void* memory) {
  if (fake::Device::get().chance(50)) fake::Device::get().finish_all();
  fake::spoil(memory);
  return cudaSuccess;
}
inline cudaError_t cudaFreeHost(void* memory) { return cudaFree(memory); }

inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* out, unsigned flags) {
  *out = new CUstream_st;
  (*out)->blocking = flags != cudaStreamNonBlocking;
  fake::streams().all.push_back(*out);
  return cudaSuccess;
}
inline cudaError_t cudaStreamCreate(cudaStream_t* out) {
  return cudaStreamCreateWithFlags(out, cudaStreamDefault);
}
inline cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaEventCreate(cudaEvent_t* out) {
  *out = new CUevent_st;
  return cudaSuccess;
}
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* out, unsigned) {
  return cudaEventCreate(out);
}
inline cudaError_t cudaEventDestroy(cudaEvent_t) { return cudaSuccess; }
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaPeekAtLastError() { return cudaSuccess; }
inline const char* cudaGetErrorString(cudaError_t) { return "no error"; }
inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }

inline cudaError_t cudaDeviceSynchronize() {
  fake::Device::get().tick();
  fake::Device::get().finish_all();
  return cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  auto& device = fake::Device::get();
  device.tick();
  device.finish(stream == nullptr ? fake::streams().legacy.queue : stream->queue);
  device.tick();
  return cudaSuccess;
}
inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream = nullptr) {
  event->mark = fake::enqueue(stream, {});
  return cudaSuccess;
}
inline cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  fake::Device::get().tick();
  fake::Device::get().finish(event->mark);
  return cudaSuccess;
}
inline cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned = 0) {
  if (event->mark != nullptr) fake::enqueue(stream, {}, {event->mark});
  return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind,
                                   cudaStream_t stream = nullptr) {
  fake::enqueue(stream, [=] { std::memmove(to, from, bytes); });
  return cudaSuccess;
}
inline cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes,
                                   cudaStream_t stream = nullptr) {
  fake::enqueue(stream, [=] { std::memset(to, value, bytes); });
  return cudaSuccess;
}
inline cudaError_t cudaMemset(void* to, int value, std::size_t bytes) {
  return cudaMemsetAsync(to, value, bytes);
}
/// To the device the bytes are staged, and the call may return before they have arrived.
inline cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  auto& device = fake::Device::get();
  if (kind == cudaMemcpyHostToDevice) {
    const auto* first = static_cast<const char*>(from);
    const std::vector<char> staged(first, first + bytes);
    fake::enqueue(nullptr, [=] { std::memcpy(to, staged.data(), bytes); });
  } else {
    cudaMemcpyAsync(to, from, bytes, kind);
    if (kind != cudaMemcpyDeviceToDevice) device.finish(fake::streams().legacy.queue);
  }
  device.tick();
  return cudaSuccess;
}
inline cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  fake::enqueue(stream, [=] { function(data); });
  return cudaSuccess;
}
