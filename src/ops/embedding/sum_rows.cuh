// Sums rows of a matrix with one block, in a fixed order.
#pragma once

#include "ops/cuda_kernel.cuh"

namespace cajal::ops::cuda_backend {

/// A matrix of which `width` columns are summed.
template <class T>
struct RowSource {
  const T* data;
  std::int64_t stride;
  int width;
  bool packed;  ///< Rows are whole packs, aligned, and so is where the sum goes.
};

template <class T, class RowAt>
__device__ void sum_part(const RowSource<T>& from, int first, int last, const RowAt& row_at,
                         int column, float (&sum)[kLanes<T>]) {
  constexpr int kCount = kLanes<T>;
  constexpr int kUnroll = 4;  // Rows that a thread has in flight.
  for (int r = first; r < last; r += kUnroll) {
    float rows[kUnroll][kCount] = {};
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      if (r + u >= last) continue;
      load_some(from.data + row_at(r + u) * from.stride + column, from.width - column, from.packed,
                rows[u]);
    }
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
#pragma unroll
      for (int i = 0; i < kCount; ++i) sum[i] += rows[u][i];
    }
  }
}

/// to[c] += sum over r in [0, count) of row row_at(r), by a block of kThreads that all call it.
/// Where a row is too narrow for the block, groups of threads share the rows.
template <int kThreads, class T, class RowAt>
__device__ void add_rows(const RowSource<T>& from, int count, const RowAt& row_at, float* to) {
  constexpr int kCount = kLanes<T>;
  __shared__ float of_group[kThreads * kCount];
  const auto thread = static_cast<int>(threadIdx.x);
  const int parts = (from.width + kCount - 1) / kCount;
  const int groups = max(1, min(count, kThreads / parts));
  const int group = groups == 1 ? 0 : thread / parts;
  const int first = static_cast<int>(std::int64_t{count} * group / groups);
  const int last = static_cast<int>(std::int64_t{count} * (group + 1) / groups);
  for (int part = thread - group * parts; part < parts && group < groups; part += kThreads) {
    const int column = part * kCount;
    float sum[kCount] = {};
    sum_part(from, first, last, row_at, column, sum);
    if (groups == 1) {
      float total[kCount];
      load_some(to + column, from.width - column, from.packed, total);
#pragma unroll
      for (int i = 0; i < kCount; ++i) total[i] += sum[i];
      store_some(to + column, from.width - column, from.packed, total);
    } else {
#pragma unroll
      for (int i = 0; i < kCount; ++i) of_group[(group * parts + part) * kCount + i] = sum[i];
    }
  }
  if (groups == 1) return;
  __syncthreads();
  for (int column = thread; column < from.width; column += kThreads) {
    float sum = 0.0F;
    for (int g = 0; g < groups; ++g) sum += of_group[g * parts * kCount + column];
    to[column] += sum;
  }
}

}  // namespace cajal::ops::cuda_backend
