#include "ops/check.h"
#include "ops/cuda_kernel.cuh"
#include "ops/layer_norm/backends.h"
#include "ops/layer_norm/backward_combine.cuh"
#include "ops/layer_norm/backward_rows.cuh"

namespace cajal::ops::cuda_backend {
namespace {

// Rows of any width and alignment go twice through memory: once for ds, once for the parameters.

template <class T>
__global__ void __launch_bounds__(256) block_row_kernel(const Backward<T> a) {
  constexpr int kCount = kLanes<T>;
  const std::int64_t at = blockIdx.x * std::int64_t{a.width};
  const float mean = a.mean[blockIdx.x];
  const float rstd = a.rstd[blockIdx.x];
  const auto step = static_cast<int>(blockDim.x) * kCount;
  float dy[kCount];
  float s[kCount];
  float weight[kCount];
  const auto load = [&](int column) {
    load_some(a.dy + at + column, a.width - column, a.packed, dy);
    load_some(a.sum + at + column, a.width - column, a.packed, s);
    load_some(a.weight + column, a.width - column, a.packed, weight);
  };
  float sum_g = 0.0F;
  float sum_g_xhat = 0.0F;
  for (int column = static_cast<int>(threadIdx.x) * kCount; column < a.width; column += step) {
    load(column);
#pragma unroll
    for (int i = 0; i < kCount; ++i) {  // Beyond the row's end dy is 0.
      sum_g += dy[i] * weight[i];
      sum_g_xhat += dy[i] * weight[i] * ((s[i] - mean) * rstd);
    }
  }
  const float mean_g = block_sum(sum_g) * a.inverse_width;
  const float mean_g_xhat = block_sum(sum_g_xhat) * a.inverse_width;
  for (int column = static_cast<int>(threadIdx.x) * kCount; column < a.width; column += step) {
    load(column);
    float ds[kCount] = {};
    if (a.dsum != nullptr) load_some(a.dsum + at + column, a.width - column, a.packed, ds);
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      ds[i] += rstd * (dy[i] * weight[i] - mean_g - (s[i] - mean) * rstd * mean_g_xhat);
    }
    store_some(a.ds + at + column, a.width - column, a.packed, ds);
  }
}

constexpr int kColumnWarps = 8;

/// Block (tile, chunk) sums 32 columns over its chunk of rows; runs before ds is written, which may
/// lie over dy or sum.
template <class T>
__global__ void __launch_bounds__(kColumnWarps* kWarp)
    columns_kernel(const Backward<T> a, std::int64_t rows_per_chunk) {
  __shared__ float weight_sums[kColumnWarps][kWarp];
  __shared__ float bias_sums[kColumnWarps][kWarp];
  const unsigned lane = threadIdx.x % kWarp;
  const unsigned warp = threadIdx.x / kWarp;
  const int column = static_cast<int>(blockIdx.x * kWarp + lane);
  const std::int64_t first = blockIdx.y * rows_per_chunk;
  const std::int64_t last = first + rows_per_chunk < a.rows ? first + rows_per_chunk : a.rows;
  float weight = 0.0F;
  float bias = 0.0F;
  for (std::int64_t row = first + warp; row < last && column < a.width; row += kColumnWarps) {
    const float upstream = to_float(a.dy[row * a.width + column]);
    weight += upstream * ((to_float(a.sum[row * a.width + column]) - a.mean[row]) * a.rstd[row]);
    bias += upstream;
  }
  weight_sums[warp][lane] = weight;
  bias_sums[warp][lane] = bias;
  __syncthreads();
  if (warp != 0 || column >= a.width) return;
  for (int w = 1; w < kColumnWarps; ++w) {
    weight += weight_sums[w][lane];
    bias += bias_sums[w][lane];
  }
  float* partial = a.partial + std::int64_t{blockIdx.y} * 2 * a.width;
  partial[column] = weight;
  partial[a.width + column] = bias;
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
                .rows = row_count(args.dy),
                .width = width,
                .inverse_width = 1.0F / static_cast<float>(width),
                .aligned = false,
                .packed = false};
  a.aligned = aligned_to_packs(a.dy, a.sum, a.dsum, a.weight, a.ds);
  a.packed = a.aligned && width % kLanes<T> == 0;
  return a;
}

float* partial_sums(CudaContext& context, std::int64_t blocks, int width) {
  const auto bytes = static_cast<std::size_t>(blocks * 2 * width) * sizeof(float);
  return reinterpret_cast<float*>(context.scratch(bytes).data());
}

constexpr auto kName = "layer_norm_backward";

template <class T>
std::int64_t run_any_rows(CudaContext& context, Backward<T>& a) {
  constexpr std::int64_t kMostChunks = 64;
  constexpr std::int64_t kFewestRows = 32;
  const std::int64_t rows = std::max(kFewestRows, ceil_div(a.rows, kMostChunks));
  const std::int64_t chunks = std::max<std::int64_t>(1, ceil_div(a.rows, rows));
  a.partial = partial_sums(context, chunks, a.width);
  const dim3 tiles(extent(ceil_div(a.width, kWarp)), extent(chunks));
  launch(context, kName, columns_kernel<T>, {tiles, kColumnWarps * kWarp}, a, rows);
  launch(context, kName, block_row_kernel<T>, {extent(a.rows), a.width > 2048 ? 256U : 128U}, a);
  return chunks;
}

template <class T>
std::int64_t run_rows(CudaContext& context, Backward<T>& a) {
  const int threads = held_row_threads(a.width);
  if (!a.aligned || a.width % kHeldColumns != 0 || threads > 1024) return run_any_rows(context, a);
  const std::int64_t blocks = held_row_blocks(context.device(), a.rows, threads);
  a.partial = partial_sums(context, blocks, a.width);
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
  launch_after(context, kName, combine_kernel,
               {extent(ceil_div(2 * a.width, kCombineColumns)), kCombineThreads}, a.partial,
               static_cast<int>(blocks), a.width, args.dweight.data<float>(),
               args.dbias.data<float>(), args.accumulate);
}

}  // namespace

Kernel layer_norm_backward(const LayerNormBackwardArgs& args) {
  return [args](ExecutionContext& context) {
    args.dy.dtype == DType::f32 ? run<float>(cuda(context), args)
                                : run<__nv_bfloat16>(cuda(context), args);
  };
}

}  // namespace cajal::ops::cuda_backend
