#include <type_traits>

#include "ops/cuda_kernel.cuh"
#include "ops/gelu/backends.h"
#include "ops/gelu/gelu_device.cuh"

namespace cajal::ops::cuda_backend {
namespace {

constexpr int kThreads = 256;
constexpr int kUnroll = 2;  // Packs a thread, loaded before the first is used.

template <class T>
using PrecisionFor = std::conditional_t<std::is_same_v<T, float>, FullPrecision, ForBf16>;

template <class T>
__device__ std::int64_t first_of_pack(int u) {
  return ((std::int64_t{blockIdx.x} * kUnroll + u) * kThreads + threadIdx.x) * kLanes<T>;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    gelu_kernel(const T* x, T* y, std::int64_t n, bool aligned) {
  float values[kUnroll][kLanes<T>];
#pragma unroll
  for (int u = 0; u < kUnroll; ++u) {
    const std::int64_t first = first_of_pack<T>(u);
    load_some(x + first, n - first, aligned, values[u]);
  }
#pragma unroll
  for (int u = 0; u < kUnroll; ++u) {
    const std::int64_t first = first_of_pack<T>(u);
#pragma unroll
    for (float& value : values[u]) value = gelu_value<PrecisionFor<T>>(value);
    store_some(y + first, n - first, aligned, values[u]);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    gelu_backward_kernel(const T* x, const T* dy, T* dx, std::int64_t n, bool aligned) {
  float at[kUnroll][kLanes<T>];
  float gradient[kUnroll][kLanes<T>];
#pragma unroll
  for (int u = 0; u < kUnroll; ++u) {
    const std::int64_t first = first_of_pack<T>(u);
    load_some(x + first, n - first, aligned, at[u]);
    load_some(dy + first, n - first, aligned, gradient[u]);
  }
#pragma unroll
  for (int u = 0; u < kUnroll; ++u) {
    const std::int64_t first = first_of_pack<T>(u);
#pragma unroll
    for (int i = 0; i < kLanes<T>; ++i) gradient[u][i] *= gelu_slope<PrecisionFor<T>>(at[u][i]);
    store_some(dx + first, n - first, aligned, gradient[u]);
  }
}

template <class T>
LaunchShape shape_for(std::int64_t n) {
  return {extent(ceil_div(n, kThreads * kUnroll * kLanes<T>)), kThreads};
}

template <class T>
void run(const CudaContext& context, const GeluArgs& args) {
  const T* x = args.x.data<T>();
  T* y = args.y.data<T>();
  const std::int64_t n = args.x.size();
  launch(context, "gelu", gelu_kernel<T>, shape_for<T>(n), x, y, n, aligned_to_packs(x, y));
}

template <class T>
void run(const CudaContext& context, const GeluBackwardArgs& args) {
  const T* x = args.x.data<T>();
  const T* dy = args.dy.data<T>();
  T* dx = args.dx.data<T>();
  const std::int64_t n = args.x.size();
  launch(context, "gelu_backward", gelu_backward_kernel<T>, shape_for<T>(n), x, dy, dx, n,
         aligned_to_packs(x, dy, dx));
}

}  // namespace

Kernel gelu(const GeluArgs& args) {
  return [args](ExecutionContext& context) {
    args.x.dtype == DType::f32 ? run<float>(cuda(context), args)
                               : run<__nv_bfloat16>(cuda(context), args);
  };
}

Kernel gelu_backward(const GeluBackwardArgs& args) {
  return [args](ExecutionContext& context) {
    args.x.dtype == DType::f32 ? run<float>(cuda(context), args)
                               : run<__nv_bfloat16>(cuda(context), args);
  };
}

}  // namespace cajal::ops::cuda_backend
