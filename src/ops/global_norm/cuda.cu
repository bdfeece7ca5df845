#include "ops/cuda_kernel.cuh"
#include "ops/global_norm/backends.h"

namespace cajal::ops::cuda_backend {
namespace {

constexpr int kThreads = 512;
constexpr int kBlocksPerProcessor = 4;
constexpr int kUnroll = 4;  // Loads that a thread has in flight.
constexpr int kCount = kLanes<float>;

__device__ double sum_of_squares(const Pack<float>& pack) {
  double sum = 0.0;
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    const double x = pack.get(i);
    sum += x * x;
  }
  return sum;
}

/// partial[block] = the squares of the block's share; x is aligned to packs.
__global__ void __launch_bounds__(kThreads, kBlocksPerProcessor)
    packs_kernel(const float* __restrict__ x, std::int64_t n, double* partial) {
  let_next_start();
  const std::int64_t packs = n / kCount;
  const std::int64_t threads = std::int64_t{gridDim.x} * kThreads;
  const std::int64_t thread = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  double sum = 0.0;
  std::int64_t p = thread;
  for (; p + (kUnroll - 1) * threads < packs; p += kUnroll * threads) {
    Pack<float> loaded[kUnroll];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) loaded[u] = load_pack(x + (p + u * threads) * kCount);
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) sum += sum_of_squares(loaded[u]);
  }
  for (; p < packs; p += threads) sum += sum_of_squares(load_pack(x + p * kCount));
  if (thread < n % kCount) {
    const double last = x[packs * kCount + thread];
    sum += last * last;
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreads)
    elements_kernel(const float* __restrict__ x, std::int64_t n, double* partial) {
  let_next_start();
  double sum = 0.0;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n;
       i += std::int64_t{gridDim.x} * kThreads) {
    const double element = x[i];
    sum += element * element;
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreads)
    combine_kernel(const double* partial, int blocks, float* norm) {
  wait_for_previous();
  double sum = 0.0;
  for (int block = static_cast<int>(threadIdx.x); block < blocks; block += kThreads) {
    sum += partial[block];
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) *norm = static_cast<float>(sqrt(sum));
}

}  // namespace

Kernel global_norm(const GlobalNormArgs& args) {
  return [args](ExecutionContext& context) {
    CudaContext& c = cuda(context);
    const float* x = args.x.data<float>();
    const std::int64_t n = args.x.size();
    const std::int64_t blocks =
        std::clamp<std::int64_t>(ceil_div(n, kThreads * kCount), 1,
                                 std::int64_t{c.device().multiprocessors} * kBlocksPerProcessor);
    auto* partial = reinterpret_cast<double*>(
        c.scratch(static_cast<std::size_t>(blocks) * sizeof(double)).data());
    launch(c, "global_norm", aligned_to_packs(x) ? packs_kernel : elements_kernel,
           {extent(blocks), kThreads}, x, n, partial);
    launch_after(c, "global_norm", combine_kernel, {1, kThreads}, partial, static_cast<int>(blocks),
                 args.norm.data<float>());
  };
}

}  // namespace cajal::ops::cuda_backend
