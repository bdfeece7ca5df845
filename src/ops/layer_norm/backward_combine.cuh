// Adds up the sums that the blocks of layer norm's backward pass leave.
#pragma once

#include "ops/cuda_kernel.cuh"

namespace cajal::ops::cuda_backend {

inline constexpr int kCombineThreads = 512;
inline constexpr int kCombineColumns = 8;  // 32 bytes, what memory hands out at the least.

/// `partial` is [blocks][2][width].
static __global__ void __launch_bounds__(kCombineThreads)
    combine_kernel(const float* partial, int blocks, int width, float* dweight, float* dbias,
                   bool accumulate) {
  constexpr int kAtOnce = kCombineThreads / kCombineColumns;
  constexpr int kUnroll = 8;  // Loads that a thread has in flight.
  __shared__ float sums[kCombineThreads / kWarp][kCombineColumns];
  const auto thread = static_cast<int>(threadIdx.x);
  const int mine = thread % kCombineColumns;
  const int column = static_cast<int>(blockIdx.x) * kCombineColumns + mine;
  const bool exists = column < 2 * width;
  wait_for_previous();
  float sum = 0.0F;
  for (int first = thread / kCombineColumns; first < blocks; first += kUnroll * kAtOnce) {
    float loaded[kUnroll];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const std::int64_t block = first + u * kAtOnce;
      loaded[u] = exists && block < blocks ? partial[block * 2 * width + column] : 0.0F;
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
  float& to = column < width ? dweight[column] : dbias[column - width];
  to = accumulate ? to + total : total;
}

}  // namespace cajal::ops::cuda_backend
