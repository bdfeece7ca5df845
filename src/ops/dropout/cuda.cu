#include "ops/cuda_kernel.cuh"
#include "ops/dropout/backends.h"
#include "ops/philox.h"

namespace cajal::ops::cuda_backend {
namespace {

constexpr int kThreads = 256;

struct Keep {
  const std::int32_t* seed;
  std::uint32_t stream;
  std::uint32_t threshold;
  float scale;
};

/// A thread owns one pack: the elements of one or two Philox counters.
template <class T>
__global__ void __launch_bounds__(kThreads)
    dropout_kernel(const T* x, T* y, std::int64_t n, const Keep keep, bool aligned) {
  constexpr int kCount = kLanes<T>;
  const std::int64_t first = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) * kCount;
  float values[kCount];
  load_some(x + first, n - first, aligned, values);
  const PhiloxKey key{static_cast<std::uint32_t>(keep.seed[0]),
                      static_cast<std::uint32_t>(keep.seed[1])};
#pragma unroll
  for (int i = 0; i < kCount; i += 4) {
    const auto group = static_cast<std::uint64_t>(first + i) / 4;
    const PhiloxCounter words =
        philox4x32({static_cast<std::uint32_t>(group), static_cast<std::uint32_t>(group >> 32),
                    keep.stream, 0},
                   key);
#pragma unroll
    for (int w = 0; w < 4; ++w) {
      values[i + w] = words[w] >= keep.threshold ? values[i + w] * keep.scale : 0.0F;
    }
  }
  store_some(y + first, n - first, aligned, values);
}

template <class T>
void run(const CudaContext& context, const DropoutArgs& args) {
  const T* x = args.x.data<T>();
  T* y = args.y.data<T>();
  const std::int64_t n = args.x.size();
  const Keep keep{args.seed.data<std::int32_t>(), args.stream, philox_threshold(args.probability),
                  1.0F / (1.0F - args.probability)};
  launch(context, "dropout", dropout_kernel<T>,
         {extent(ceil_div(n, kThreads * kLanes<T>)), kThreads}, x, y, n, keep,
         aligned_to_packs(x, y));
}

}  // namespace

Kernel dropout(const DropoutArgs& args) {
  return [args](ExecutionContext& context) {
    args.x.dtype == DType::f32 ? run<float>(cuda(context), args)
                               : run<__nv_bfloat16>(cuda(context), args);
  };
}

}  // namespace cajal::ops::cuda_backend
