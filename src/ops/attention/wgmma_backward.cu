#include <algorithm>
#include <cmath>
#include <numbers>

#include "ops/attention/tensor_map.h"
#include "ops/attention/wgmma_backward_work.cuh"
#include "ops/cuda_kernel.cuh"

namespace cajal::ops::cuda_attention {
namespace wgmma {
namespace {

constexpr int kNumbersThreads = 256;
constexpr int kLanesARow = kTileSide / 8;  // 16 bytes each.
constexpr int kRowsABlock = kNumbersThreads / kLanesARow;
constexpr std::int64_t kMostHeads = 65535;  // A grid's second dimension.

/// Block (tokens, head) has kRowsABlock tokens of a head.
__global__ void __launch_bounds__(kNumbersThreads)
    numbers_kernel(const BackwardProblem<Bf16> problem, RowNumbers* numbers, unsigned* taken) {
  cuda_backend::let_next_start();
  if (blockIdx.x == 0 && blockIdx.y == 0 && threadIdx.x == 0) *taken = 0;
  const int head = static_cast<int>(blockIdx.y);
  const int token =
      static_cast<int>(blockIdx.x) * kRowsABlock + static_cast<int>(threadIdx.x) / kLanesARow;
  if (token >= problem.sizes.tokens) return;
  const int column = static_cast<int>(threadIdx.x) % kLanesARow * 8;
  const auto out =
      cuda_backend::load_pack(rows_of(problem.out, problem.sizes, head).row(token) + column);
  const auto dout =
      cuda_backend::load_pack(rows_of(problem.dout, problem.sizes, head).row(token) + column);
  float sum = 0.0F;
#pragma unroll
  for (int i = 0; i < 8; ++i) sum += out.get(i) * dout.get(i);
#pragma unroll
  for (int mask = kLanesARow / 2; mask > 0; mask /= 2) {
    sum += __shfl_xor_sync(kAllLanes, sum, mask);
  }
  if (column != 0) return;
  const std::int64_t row = std::int64_t{head} * problem.sizes.tokens + token;
  numbers[row] = {problem.lse[row] * std::numbers::log2e_v<float>, sum};
}

/// One block a multiprocessor; for no card but Hopper, whose instructions no other has.
__global__ void __launch_bounds__(kThreads, 1)
    backward_kernel(const __grid_constant__ Arguments a) {
  NV_IF_TARGET(NV_HAS_FEATURE_SM_90a, (work(a);))
}

/// What the kernel is made for, on the card that it is made for.
bool takes(const CudaContext& context, const BackwardProblem<Bf16>& problem) {
  const CudaProperties& device = context.device();
  return device.major == 9 && device.minor == 0 &&
         Memory::kBytes <= static_cast<int>(device.shared_bytes_per_block) && problem.vector &&
         problem.dropout.seed == nullptr && problem.sizes.width == kTileSide &&
         problem.sizes.heads <= kMostHeads && problem.sizes.tokens > 0 &&
         problem.sizes.tokens % kTileSide == 0;
}

Arguments arguments(const BackwardProblem<Bf16>& problem) {
  const Sizes& sizes = problem.sizes;
  const std::int64_t rows = sizes.heads / sizes.heads_a_sequence * sizes.tokens;
  Arguments a{};
  a.qkv = tile_map(problem.q.data, rows, problem.q.token_stride);
  a.dout = tile_map(problem.dout.data, rows, problem.dout.token_stride);
  a.dq = problem.dq.data;
  a.dk = problem.dk.data;
  a.dv = problem.dv.data;
  a.gradient_stride = problem.dq.token_stride;
  a.heads = static_cast<int>(sizes.heads);
  a.heads_a_sequence = sizes.heads_a_sequence;
  a.tokens = sizes.tokens;
  a.k_column = static_cast<int>(problem.k.data - problem.q.data);
  a.v_column = static_cast<int>(problem.v.data - problem.q.data);
  a.scale = 1.0F / std::sqrt(static_cast<float>(sizes.width));
  return a;
}

}  // namespace
}  // namespace wgmma

bool wgmma_backward(CudaContext& context, const BackwardProblem<__nv_bfloat16>& problem) {
  using namespace wgmma;
  if (!takes(context, problem)) return false;
  const Sizes& sizes = problem.sizes;
  const auto rows = static_cast<std::size_t>(sizes.heads * sizes.tokens);
  std::byte* const room = context.scratch(rows * sizeof(RowNumbers) + sizeof(unsigned)).data();
  auto* const numbers = reinterpret_cast<RowNumbers*>(room);
  auto* const taken = reinterpret_cast<unsigned*>(room + rows * sizeof(RowNumbers));
  Arguments a = arguments(problem);
  a.numbers = numbers;
  a.taken = taken;

  constexpr auto kName = "attention_backward";
  const unsigned blocks = cuda_backend::extent(cuda_backend::ceil_div(sizes.tokens, kRowsABlock));
  cuda_backend::launch(context, kName, numbers_kernel,
                       {{blocks, static_cast<unsigned>(sizes.heads)}, kNumbersThreads}, problem,
                       numbers, taken);
  check_cuda(cudaFuncSetAttribute(backward_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  Memory::kBytes),
             "cudaFuncSetAttribute");
  const unsigned grid =
      std::min(item_count(a), static_cast<unsigned>(context.device().multiprocessors));
  cuda_backend::launch_after(context, kName, backward_kernel, {grid, kThreads, Memory::kBytes}, a);
  return true;
}

}  // namespace cajal::ops::cuda_attention
