#include "ops/check.h"
#include "ops/cuda_kernel.cuh"
#include "ops/layer_norm/backends.h"
#include "ops/layer_norm/backward_combine.cuh"
#include "ops/layer_norm/backward_rows.cuh"

namespace cajal::ops::cuda_backend {
namespace {

// Rows of any width and alignment: first their means, which every column needs, then the rest,
// column by column.

/// Means over a row of g = dy * weight and of g * xhat.
struct RowMeans {
  float g;
  float g_xhat;
};

template <class T>
__global__ void __launch_bounds__(256) row_means_kernel(const Backward<T> a, RowMeans* means) {
  constexpr int kCount = kLanes<T>;
  const std::int64_t at = blockIdx.x * std::int64_t{a.width};
  const float mean = a.mean[blockIdx.x];
  const float rstd = a.rstd[blockIdx.x];
  const auto step = static_cast<int>(blockDim.x) * kCount;
  float sum_g = 0.0F;
  float sum_g_xhat = 0.0F;
  for (int column = static_cast<int>(threadIdx.x) * kCount; column < a.width; column += step) {
    float dy[kCount];
    float s[kCount];
    float weight[kCount];
    load_some(a.dy + at + column, a.width - column, a.packed, dy);
    load_some(a.sum + at + column, a.width - column, a.packed, s);
    load_some(a.weight + column, a.width - column, a.packed, weight);
#pragma unroll
    for (int i = 0; i < kCount; ++i) {  // Beyond the row's end dy is 0.
      sum_g += dy[i] * weight[i];
      sum_g_xhat += dy[i] * weight[i] * ((s[i] - mean) * rstd);
    }
  }
  sum_g = block_sum(sum_g);
  sum_g_xhat = block_sum(sum_g_xhat);
  if (threadIdx.x == 0) means[blockIdx.x] = {sum_g * a.inverse_width, sum_g_xhat * a.inverse_width};
}

/// What a thread adds to the gradients of its column's parameters.
struct ColumnSums {
  float weight = 0.0F;
  float bias = 0.0F;
  float ds = 0.0F;

  __device__ void operator+=(const ColumnSums& other) {
    weight += other.weight;
    bias += other.bias;
    ds += other.ds;
  }
};

constexpr int kColumnWarps = 8;

/// Block (tile, chunk) has 32 columns of its chunk of rows.
template <class T>
__global__ void __launch_bounds__(kColumnWarps* kWarp)
    columns_kernel(const Backward<T> a, const RowMeans* means, std::int64_t rows_per_chunk) {
  __shared__ float of_warp[kColumnWarps][3][kWarp];
  const unsigned lane = threadIdx.x % kWarp;
  const unsigned warp = threadIdx.x / kWarp;
  const int column = static_cast<int>(blockIdx.x * kWarp + lane);
  const bool exists = column < a.width;
  const std::int64_t first = blockIdx.y * rows_per_chunk;
  const std::int64_t last = first + rows_per_chunk < a.rows ? first + rows_per_chunk : a.rows;
  const float weight = exists ? a.weight[column] : 0.0F;
  ColumnSums sums;
  for (std::int64_t row = first + warp; row < last && exists; row += kColumnWarps) {
    const std::int64_t at = row * a.width + column;
    const float rstd = a.rstd[row];
    const RowMeans mean = means[row];
    const float dy = to_float(a.dy[at]);
    const float xhat = (to_float(a.sum[at]) - a.mean[row]) * rstd;
    const float past = a.dsum != nullptr ? to_float(a.dsum[at]) : 0.0F;
    const float ds = rstd * (dy * weight - mean.g - xhat * mean.g_xhat) + past;
    store_one(a.ds + at, ds);
    sums += {dy * xhat, dy, ds};
  }
  of_warp[warp][0][lane] = sums.weight;
  of_warp[warp][1][lane] = sums.bias;
  of_warp[warp][2][lane] = sums.ds;
  __syncthreads();
  if (warp != 0 || !exists) return;
  for (int w = 1; w < kColumnWarps; ++w) {
    sums += {of_warp[w][0][lane], of_warp[w][1][lane], of_warp[w][2][lane]};
  }
  float* partial = a.partial + std::int64_t{blockIdx.y} * a.sums * a.width + column;
  partial[0] = sums.weight;
  partial[a.width] = sums.bias;
  if (a.sums > 2) partial[2 * a.width] = sums.ds;
}

template <class T>
Backward<T> arguments(const LayerNormBackwardArgs& args) {
  const auto width = static_cast<int>(args.dy.dim(-1));
  Backward<T> a{.dy = args.dy.data<T>(),
                .sum = args.sum.data<T>(),
                .dsum = args.dsum ? args.dsum.data<T>() : nullptr,
                .weight = args.weight.data<float>(),
                .mean = args.mean.data<float>(),
                .rstd = args.rstd.data<float>(),
                .ds = args.ds.data<T>(),
                .partial = nullptr,
                .sums = args.dbranch_bias ? 3 : 2,
                .rows = row_count(args.dy),
                .width = width,
                .inverse_width = 1.0F / static_cast<float>(width),
                .aligned = false,
                .packed = false};
  a.aligned = aligned_to_packs(a.dy, a.sum, a.dsum, a.weight, a.ds);
  a.packed = a.aligned && width % kLanes<T> == 0;
  return a;
}

constexpr auto kName = "layer_norm_backward";

/// Makes room for the sums of `blocks` blocks; returns where `more` bytes lie.
template <class T>
std::byte* make_room(CudaContext& context, Backward<T>& a, std::int64_t blocks, std::size_t more) {
  constexpr std::size_t kGrain = 16;
  const auto bytes = static_cast<std::size_t>(blocks * a.sums * a.width) * sizeof(float);
  const std::size_t aligned = (bytes + kGrain - 1) / kGrain * kGrain;
  std::byte* const room = context.scratch(aligned + more).data();
  a.partial = reinterpret_cast<float*>(room);
  return room + aligned;
}

/// Returns the number of blocks that left sums.
template <class T>
std::int64_t run_any_rows(CudaContext& context, Backward<T>& a) {
  constexpr std::int64_t kMostChunks = 64;
  constexpr std::int64_t kFewestRows = 32;
  const std::int64_t rows = std::max(kFewestRows, ceil_div(a.rows, kMostChunks));
  const std::int64_t chunks = std::max<std::int64_t>(1, ceil_div(a.rows, rows));
  auto* means = reinterpret_cast<RowMeans*>(
      make_room(context, a, chunks, static_cast<std::size_t>(a.rows) * sizeof(RowMeans)));
  const dim3 tiles(extent(ceil_div(a.width, kWarp)), extent(chunks));
  launch(context, kName, row_means_kernel<T>, {extent(a.rows), a.width > 2048 ? 256U : 128U}, a,
         means);
  launch(context, kName, columns_kernel<T>, {tiles, kColumnWarps * kWarp}, a, means, rows);
  return chunks;
}

template <class T>
std::int64_t run_rows(CudaContext& context, Backward<T>& a) {
  const int threads = held_row_threads(a.width);
  if (!a.aligned || a.width % kHeldColumns != 0 || threads > 1024) return run_any_rows(context, a);
  const std::int64_t blocks = held_row_blocks<T>(context.device(), a.rows, threads);
  make_room(context, a, blocks, 0);
  const auto kernel = threads <= 256   ? held_rows_kernel<T, kRowsHeld<256>, 256>
                      : threads <= 512 ? held_rows_kernel<T, kRowsHeld<512>, 512>
                                       : held_rows_kernel<T, kRowsHeld<1024>, 1024>;
  launch(context, kName, kernel, {extent(blocks), extent(threads)}, a);
  return blocks;
}

template <class T>
void run(CudaContext& context, const LayerNormBackwardArgs& args) {
  Backward<T> a = arguments<T>(args);
  if (a.rows == 0 && args.accumulate) return;
  const std::int64_t blocks = run_rows(context, a);
  float* const branch = args.dbranch_bias ? args.dbranch_bias.data<float>() : nullptr;
  const Combined sums{.partial = a.partial,
                      .blocks = static_cast<int>(blocks),
                      .sums = a.sums,
                      .width = a.width,
                      .to = {args.dweight.data<float>(), args.dbias.data<float>(), branch},
                      .accumulate = args.accumulate};
  launch_after(context, kName, combine_kernel,
               {extent(ceil_div(a.sums * a.width, kCombineColumns)), kCombineThreads}, sums);
}

}  // namespace

Kernel layer_norm_backward(const LayerNormBackwardArgs& args) {
  return [args](ExecutionContext& context) {
    args.dy.dtype == DType::f32 ? run<float>(cuda(context), args)
                                : run<__nv_bfloat16>(cuda(context), args);
  };
}

}  // namespace cajal::ops::cuda_backend
