#include <cmath>

#include "ops/attention/mma_backward_keys.cuh"
#include "ops/attention/mma_backward_queries.cuh"

namespace cajal::ops::cuda_attention {
namespace {

/// Blocks take turns in their role; in either, those with the most tiles start first.
template <class S>
__global__ void __launch_bounds__(S::kThreads, 1)
    mma_backward_kernel(const __grid_constant__ BackwardProblem<Bf16> problem, float scale) {
  extern __shared__ uint4 memory[];
  const int heads = static_cast<int>(problem.sizes.heads);
  const int head = static_cast<int>(blockIdx.x) % heads;
  const int turn = static_cast<int>(blockIdx.x) / heads;
  const int blocks = (problem.sizes.tokens + kTile - 1) / kTile;
  if (turn % 2 == 0) {
    const BackwardThread<S> at(head, turn / 2, memory);
    BackwardKeys<S>(problem, at, scale).run();
  } else {
    const BackwardThread<S> at(head, blocks - 1 - turn / 2, memory);
    BackwardQueries<S>(problem, at, scale).run();
  }
}

template <int kWidth, bool kDropout>
bool launch(CudaContext& context, const BackwardProblem<Bf16>& problem) {
  using S = BackwardShape<kWidth, kDropout>;
  if (S::kBytes > context.device().shared_bytes_per_block) return false;
  const auto kernel = mma_backward_kernel<S>;
  check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, S::kBytes),
             "cudaFuncSetAttribute");
  const std::int64_t blocks = (problem.sizes.tokens + kTile - 1) / kTile;
  const float scale = 1.0F / std::sqrt(static_cast<float>(problem.sizes.width));
  kernel<<<static_cast<unsigned>(2 * blocks * problem.sizes.heads), S::kThreads, S::kBytes,
           context.stream()>>>(problem, scale);
  check_cuda(cudaGetLastError(), "attention_backward");
  return true;
}

template <bool kDropout>
bool launch_any(CudaContext& context, const BackwardProblem<Bf16>& problem) {
  const int width = problem.sizes.width;
  if (width <= 32) return launch<32, kDropout>(context, problem);
  if (width <= 64) return launch<64, kDropout>(context, problem);
  if (width <= 96) return launch<96, kDropout>(context, problem);
  return width <= kWidestMma && launch<128, kDropout>(context, problem);
}

}  // namespace

bool mma_backward(CudaContext& context, const BackwardProblem<Bf16>& problem) {
  return problem.dropout.seed != nullptr ? launch_any<true>(context, problem)
                                         : launch_any<false>(context, problem);
}

}  // namespace cajal::ops::cuda_attention
