// Layer norm's backward pass for rows that a block holds: each thread has the same four columns of
// every row, and so their sums over rows to itself.
#pragma once

#include "ops/cuda_kernel.cuh"

namespace cajal::ops::cuda_backend {
namespace {

template <class T>
struct Backward {
  const T* dy;
  const T* sum;
  const T* dsum;  ///< Null: none.
  const float* __restrict__ weight;
  const float* __restrict__ mean;
  const float* __restrict__ rstd;
  T* ds;           ///< May be dy, sum or dsum.
  float* partial;  ///< [blocks][sums][width]: a block's rows in dweight, dbias, dbranch_bias.
  int sums;        ///< 2, or 3 with dbranch_bias.
  std::int64_t rows;
  int width;
  float inverse_width;
  bool aligned;  ///< All tensors are.
  bool packed;   ///< And rows are whole packs.
};

constexpr int kHeldColumns = 4;

/// Threads for a row.
constexpr int held_row_threads(int width) {
  return static_cast<int>(ceil_div(width, kHeldColumns * kWarp)) * kWarp;
}

/// Threads that the registers of a multiprocessor are to suffice for.
template <class T>
constexpr int kThreadsHeld = sizeof(T) == 2 ? 768 : 512;

/// Rows that a block holds at a time: their loads are in flight together, and they share one
/// exchange between its warps.
template <int kMostThreads>
constexpr int kRowsHeld = kMostThreads <= 256   ? 4
                          : kMostThreads <= 512 ? 2
                                                : 1;

/// One thread's columns of some rows, as they lie in memory; 0 where there is no such row or
/// column.
template <class T, int kRows>
struct RowGroup {
  Pack<T, kHeldColumns> dy[kRows] = {};
  Pack<T, kHeldColumns> s[kRows] = {};
  Pack<T, kHeldColumns> dsum[kRows] = {};
  float mean[kRows] = {};
  float rstd[kRows] = {};

  __device__ void load(const Backward<T>& a, std::int64_t first, int column) {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      if (first + r >= a.rows || column >= a.width) continue;
      const std::int64_t at = (first + r) * a.width + column;
      dy[r] = load_pack<T, kHeldColumns>(a.dy + at);
      s[r] = load_pack<T, kHeldColumns>(a.sum + at);
      if (a.dsum != nullptr) dsum[r] = load_pack<T, kHeldColumns>(a.dsum + at);
      mean[r] = a.mean[first + r];
      rstd[r] = a.rstd[first + r];
    }
  }
  __device__ float xhat(int r, int i) const { return (s[r].get(i) - mean[r]) * rstd[r]; }
};

/// Adds up x over the block; `of_warp` is another one in every other call.
template <int kN>
__device__ void block_sums(float (&x)[kN], float (*of_warp)[kN]) {
  constexpr unsigned kLanesEach = kWarp / kN;
  const unsigned lane = threadIdx.x % kWarp;
  const float total = warp_sums(x);
  if (lane % kLanesEach == 0) of_warp[threadIdx.x / kWarp][lane / kLanesEach] = total;
  __syncthreads();
#pragma unroll
  for (float& sum : x) sum = 0.0F;
  const unsigned warps = blockDim.x / kWarp;
#pragma unroll 4
  for (unsigned warp = 0; warp < warps; ++warp) {
    const auto sums = load_pack<float, kN>(of_warp[warp]);
#pragma unroll
    for (int i = 0; i < kN; ++i) x[i] += sums.get(i);
  }
}

/// A thread's columns of the parameters' gradients.
struct ParameterSums {
  float weight[kHeldColumns] = {};
  float bias[kHeldColumns] = {};
  float ds[kHeldColumns] = {};

  __device__ void store(float* partial, int count, int width, int column) const {
    store_pack(partial + column, Pack<float>::of(weight));
    store_pack(partial + width + column, Pack<float>::of(bias));
    if (count > 2) store_pack(partial + 2 * width + column, Pack<float>::of(ds));
  }
};

/// What a group adds to the parameters, and for row r the sums of g = dy * weight in means[2 r] and
/// of g * xhat in means[2 r + 1].
template <class T, int kRows>
__device__ void reduce_rows(const RowGroup<T, kRows>& rows, const Pack<float>& weight,
                            ParameterSums& sums, float (&means)[2 * kRows]) {
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    means[2 * r] = 0.0F;
    means[2 * r + 1] = 0.0F;
#pragma unroll
    for (int i = 0; i < kHeldColumns; ++i) {
      const float upstream = rows.dy[r].get(i);
      const float xhat = rows.xhat(r, i);
      const float g = upstream * weight.get(i);
      means[2 * r] += g;
      means[2 * r + 1] += g * xhat;
      sums.weight[i] += upstream * xhat;
      sums.bias[i] += upstream;
    }
  }
}

template <class T, int kRows, int kMostThreads>
__global__ void __launch_bounds__(kMostThreads, std::max(1, kThreadsHeld<T> / kMostThreads))
    held_rows_kernel(const Backward<T> a) {
  __shared__ alignas(16) float of_warp[2][kMostThreads / kWarp][2 * kRows];
  let_next_start();
  const int column = static_cast<int>(threadIdx.x) * kHeldColumns;
  const bool held = column < a.width;
  Pack<float> weight{};
  if (held) weight = load_pack(a.weight + column);
  ParameterSums sums;
  int turn = 0;
  for (std::int64_t first = std::int64_t{blockIdx.x} * kRows; first < a.rows;
       first += std::int64_t{gridDim.x} * kRows) {
    RowGroup<T, kRows> rows;
    rows.load(a, first, column);
    float means[2 * kRows];
    reduce_rows(rows, weight, sums, means);
    block_sums(means, of_warp[turn]);
    turn = 1 - turn;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const float mean_g = means[2 * r] * a.inverse_width;
      const float mean_g_xhat = means[2 * r + 1] * a.inverse_width;
      float ds[kHeldColumns];
#pragma unroll
      for (int i = 0; i < kHeldColumns; ++i) {
        const float g = rows.dy[r].get(i) * weight.get(i);
        ds[i] = rows.rstd[r] * (g - mean_g - rows.xhat(r, i) * mean_g_xhat) + rows.dsum[r].get(i);
      }
      if (!held || first + r >= a.rows) continue;
#pragma unroll
      for (int i = 0; i < kHeldColumns; ++i) sums.ds[i] += ds[i];
      store_pack(a.ds + (first + r) * a.width + column, Pack<T, kHeldColumns>::of(ds));
    }
  }
  if (!held) return;
  sums.store(a.partial + std::int64_t{blockIdx.x} * a.sums * a.width, a.sums, a.width, column);
}

/// As many blocks as run at once or fewer, each with as many groups of rows as the others: every
/// block leaves sums that are yet to be added up.
template <class T>
std::int64_t held_row_blocks(const CudaProperties& device, std::int64_t rows, int threads) {
  const int held = threads <= 256   ? kRowsHeld<256>
                   : threads <= 512 ? kRowsHeld<512>
                                    : kRowsHeld<1024>;
  const std::int64_t groups = ceil_div(rows, held);
  const std::int64_t most =
      std::int64_t{device.multiprocessors} * std::max(1, kThreadsHeld<T> / threads);
  const std::int64_t each = std::max<std::int64_t>(1, ceil_div(groups, most));
  return std::max<std::int64_t>(1, ceil_div(groups, each));
}

}  // namespace
}  // namespace cajal::ops::cuda_backend
