#include "ops/check.h"
#include "ops/cuda_kernel.cuh"
#include "ops/layer_norm/backends.h"

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
  float* partial;  ///< [blocks][2][width]: dweight and dbias of a block's rows.
  std::int64_t rows;
  int width;
  bool packed;  ///< Rows are whole packs, aligned.
};

// Four warps a block, a row each at a time.
constexpr int kWarps = 4;

/// Blocks that fit a multiprocessor by registers. A lane holds two sums a column and, as they lie
/// in memory, elements of three tensors.
template <class T>
constexpr int resident_blocks(int columns) {
  constexpr int kOthers = 40;
  constexpr int kRegisters = 65536;
  const int registers = kOthers + 2 * columns + 3 * columns * static_cast<int>(sizeof(T)) / 4;
  return kRegisters / (kWarps * kWarp * registers);
}

/// A lane's columns of one row, as they lie in memory.
template <class T, int kPacks>
struct RowPacks {
  Pack<T> dy[kPacks];
  Pack<T> s[kPacks];
  Pack<T> dsum[kPacks];

  __device__ void load(const Backward<T>& a, std::int64_t row, int lane) {
    const std::int64_t at = row * a.width;
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      const int column = (p * kWarp + lane) * kLanes<T>;
      if (column >= a.width) continue;
      dy[p] = load_pack(a.dy + at + column);
      s[p] = load_pack(a.sum + at + column);
      if (a.dsum != nullptr) dsum[p] = load_pack(a.dsum + at + column);
    }
  }
};

/// A lane's columns of dweight and dbias.
template <int kColumns>
struct ParameterSums {
  float weight[kColumns] = {};
  float bias[kColumns] = {};
};

template <class T, int kPacks>
__device__ void process_row(const Backward<T>& a, std::int64_t row, int lane,
                            ParameterSums<kPacks * kLanes<T>>& sums) {
  constexpr int kCount = kLanes<T>;
  RowPacks<T, kPacks> packs;
  packs.load(a, row, lane);
  const float mean = a.mean[row];
  const float rstd = a.rstd[row];
  float sum_g = 0.0F;
  float sum_g_xhat = 0.0F;
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const int column = (p * kWarp + lane) * kCount;
    if (column >= a.width) continue;
    const auto weight = load_pack<float, kCount>(a.weight + column);
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const float upstream = packs.dy[p].get(i);
      const float xhat = (packs.s[p].get(i) - mean) * rstd;
      const float g = upstream * weight.get(i);
      sum_g += g;
      sum_g_xhat += g * xhat;
      sums.weight[p * kCount + i] += upstream * xhat;
      sums.bias[p * kCount + i] += upstream;
    }
  }
  const float mean_g = warp_sum(sum_g) / static_cast<float>(a.width);
  const float mean_g_xhat = warp_sum(sum_g_xhat) / static_cast<float>(a.width);
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const int column = (p * kWarp + lane) * kCount;
    if (column >= a.width) continue;
    const auto weight = load_pack<float, kCount>(a.weight + column);
    float ds[kCount];
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const float xhat = (packs.s[p].get(i) - mean) * rstd;
      ds[i] = rstd * (packs.dy[p].get(i) * weight.get(i) - mean_g - xhat * mean_g_xhat);
      if (a.dsum != nullptr) ds[i] += packs.dsum[p].get(i);
    }
    store_pack(a.ds + row * a.width + column, Pack<T>::of(ds));
  }
}

/// Adds this warp's sums to those of the warps before it, in `shared` [2][width].
template <class T, int kPacks>
__device__ void add_in_turn(const ParameterSums<kPacks * kLanes<T>>& sums, int width, bool first,
                            int lane, float* shared) {
  constexpr int kCount = kLanes<T>;
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const int column = (p * kWarp + lane) * kCount;
    if (column >= width) continue;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      float& weight = shared[column + i];
      float& bias = shared[width + column + i];
      weight = sums.weight[p * kCount + i] + (first ? 0.0F : weight);
      bias = sums.bias[p * kCount + i] + (first ? 0.0F : bias);
    }
  }
}

template <class T, int kPacks>
__global__ void __launch_bounds__(kWarps* kWarp, resident_blocks<T>(kPacks* kLanes<T>))
    warp_rows_kernel(const Backward<T> a) {
  extern __shared__ float shared[];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  ParameterSums<kPacks * kLanes<T>> sums;
  for (std::int64_t row = std::int64_t{blockIdx.x} * kWarps + warp; row < a.rows;
       row += std::int64_t{gridDim.x} * kWarps) {
    process_row<T, kPacks>(a, row, lane, sums);
  }
  for (int turn = 0; turn < kWarps; ++turn) {
    if (turn == warp) add_in_turn<T, kPacks>(sums, a.width, turn == 0, lane, shared);
    __syncthreads();
  }
  float* partial = a.partial + std::int64_t{blockIdx.x} * 2 * a.width;
  for (int i = static_cast<int>(threadIdx.x); i < 2 * a.width; i += kWarps * kWarp) {
    partial[i] = shared[i];
  }
}

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
  const float mean_g = block_sum(sum_g) / static_cast<float>(a.width);
  const float mean_g_xhat = block_sum(sum_g_xhat) / static_cast<float>(a.width);
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

/// Sums the blocks' partial sums: 32 columns a block, its warps sharing the blocks.
__global__ void __launch_bounds__(kWarp* kWarp)
    combine_kernel(const float* partial, int blocks, int width, float* dweight, float* dbias,
                   bool accumulate) {
  __shared__ float sums[kWarp][kWarp + 1];
  const unsigned lane = threadIdx.x % kWarp;
  const unsigned warp = threadIdx.x / kWarp;
  const auto column = static_cast<int>(blockIdx.x * kWarp + lane);
  float sum = 0.0F;
  if (column < 2 * width) {
#pragma unroll 4
    for (int block = static_cast<int>(warp); block < blocks; block += kWarp) {
      sum += partial[std::int64_t{block} * 2 * width + column];
    }
  }
  sums[warp][lane] = sum;
  __syncthreads();
  const float total = warp_sum(sums[lane][warp]);
  const auto summed = static_cast<int>(blockIdx.x * kWarp + warp);
  if (lane != 0 || summed >= 2 * width) return;
  float& to = summed < width ? dweight[summed] : dbias[summed - width];
  to = accumulate ? to + total : total;
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
                .packed = width % kLanes<T> == 0};
  a.packed = a.packed && aligned_to_packs(a.dy, a.sum, a.dsum, a.weight, a.ds);
  return a;
}

float* partial_sums(CudaContext& context, std::int64_t blocks, int width) {
  const auto bytes = static_cast<std::size_t>(blocks * 2 * width) * sizeof(float);
  return reinterpret_cast<float*>(context.scratch(bytes).data());
}

constexpr auto kName = "layer_norm_backward";

/// Returns the number of blocks that left partial sums.
template <class T, int kPacks>
std::int64_t run_warp_rows(CudaContext& context, Backward<T>& a) {
  constexpr int kResident = resident_blocks<T>(kPacks * kLanes<T>);
  const std::int64_t blocks = std::min<std::int64_t>(
      ceil_div(a.rows, kWarps), std::int64_t{context.device().multiprocessors} * kResident);
  a.partial = partial_sums(context, blocks, a.width);
  launch(context, kName, warp_rows_kernel<T, kPacks>,
         {extent(blocks), kWarps * kWarp, 2 * sizeof(float) * static_cast<std::size_t>(a.width)},
         a);
  return blocks;
}

template <class T>
std::int64_t run_any_rows(CudaContext& context, Backward<T>& a) {
  constexpr std::int64_t kMostChunks = 64;
  constexpr std::int64_t kFewestRows = 32;
  const std::int64_t rows = std::max(kFewestRows, ceil_div(a.rows, kMostChunks));
  const std::int64_t chunks = ceil_div(a.rows, rows);
  a.partial = partial_sums(context, chunks, a.width);
  const dim3 tiles(extent(ceil_div(a.width, kWarp)), extent(chunks));
  launch(context, kName, columns_kernel<T>, {tiles, kColumnWarps * kWarp}, a, rows);
  launch(context, kName, block_row_kernel<T>, {extent(a.rows), a.width > 2048 ? 256U : 128U}, a);
  return chunks;
}

template <class T>
std::int64_t run_rows(CudaContext& context, Backward<T>& a) {
  if (!a.packed) return run_any_rows(context, a);
  switch (ceil_div(a.width, kWarp * kLanes<T>)) {
    case 1:
      return run_warp_rows<T, 1>(context, a);
    case 2:
      return run_warp_rows<T, 2>(context, a);
    case 3:
      return run_warp_rows<T, 3>(context, a);
    case 4:
      return run_warp_rows<T, 4>(context, a);
    case 5:
      return run_warp_rows<T, 5>(context, a);
    case 6:
      return run_warp_rows<T, 6>(context, a);
    case 7:
      return run_warp_rows<T, 7>(context, a);
    default:
      return run_any_rows(context, a);
  }
}

template <class T>
void run(CudaContext& context, const LayerNormBackwardArgs& args) {
  Backward<T> a = arguments<T>(args);
  if (a.rows == 0 && args.accumulate) return;
  const std::int64_t blocks = run_rows(context, a);
  launch(context, kName, combine_kernel, {extent(ceil_div(2 * a.width, kWarp)), kWarp * kWarp},
         a.partial, static_cast<int>(blocks), a.width, args.dweight.data<float>(),
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
