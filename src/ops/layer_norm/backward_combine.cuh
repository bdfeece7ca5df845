// Adds up the sums that the blocks of layer norm's backward pass leave.
#pragma once

#include "ops/cuda_kernel.cuh"

namespace cajal::ops::cuda_backend {
namespace {

constexpr int kCombineThreads = 512;
constexpr int kCombineColumns = 8;  // 32 bytes, what memory hands out at the least.

/// `partial` is [blocks][sums][width], each of the sums to go to a tensor of its own.
struct Combined {
  const float* partial;
  int blocks;
  int sums;
  int width;
  float* to[3];
  bool accumulate;
};

__global__ void __launch_bounds__(kCombineThreads) combine_kernel(const Combined a) {
  constexpr int kAtOnce = kCombineThreads / kCombineColumns;
  constexpr int kUnroll = 8;  // Loads that a thread has in flight.
  __shared__ float sums[kCombineThreads / kWarp][kCombineColumns];
  const auto thread = static_cast<int>(threadIdx.x);
  const int mine = thread % kCombineColumns;
  const int column = static_cast<int>(blockIdx.x) * kCombineColumns + mine;
  const int columns = a.sums * a.width;
  const bool exists = column < columns;
  wait_for_previous();
  float sum = 0.0F;
  for (int first = thread / kCombineColumns; first < a.blocks; first += kUnroll * kAtOnce) {
    float loaded[kUnroll];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const std::int64_t block = first + u * kAtOnce;
      loaded[u] = exists && block < a.blocks ? a.partial[block * columns + column] : 0.0F;
    }
#pragma unroll
    for (const float x : loaded) sum += x;
  }
#pragma unroll
  for (int mask = kCombineColumns; mask < kWarp; mask *= 2) {
    sum += __shfl_xor_sync(kAllLanes, sum, mask);
  }
  if (thread % kWarp < kCombineColumns) sums[thread / kWarp][mine] = sum;
  __syncthreads();
  if (thread >= kCombineColumns || !exists) return;
  float total = 0.0F;
#pragma unroll
  for (const auto& of_warp : sums) total += of_warp[mine];
  const int sum_at = column / a.width;
  float* const tensor = sum_at == 0 ? a.to[0] : sum_at == 1 ? a.to[1] : a.to[2];
  float& to = tensor[column - sum_at * a.width];
  to = a.accumulate ? to + total : total;
}

}  // namespace
}  // namespace cajal::ops::cuda_backend
