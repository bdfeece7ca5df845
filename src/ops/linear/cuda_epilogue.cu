#include <cuda_bf16.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "ops/gelu/gelu_device.cuh"
#include "ops/linear/cuda_epilogue.h"

namespace cajal::ops {
namespace {

constexpr int kThreads = 256;
constexpr int kWarp = 32;
constexpr int kWarps = kThreads / kWarp;

__device__ float to_float(float x) { return x; }
__device__ float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }
template <class T>
__device__ T from_float(float x);
template <>
__device__ float from_float<float>(float x) {
  return x;
}
template <>
__device__ __nv_bfloat16 from_float<__nv_bfloat16>(float x) {
  return __float2bfloat16_rn(x);
}

template <class T, int kCount>
struct alignas(sizeof(T) * kCount) Pack {
  T values[kCount];
};

/// As exact as what is stored can show.
template <class T>
using GeluPrecision =
    std::conditional_t<sizeof(T) == 2, cuda_backend::ForBf16, cuda_backend::FullPrecision>;

bool packs(std::int64_t columns, std::size_t bytes, const void* address, int count) {
  return address == nullptr ||
         (columns % count == 0 &&
          reinterpret_cast<std::uintptr_t>(address) % (bytes * static_cast<unsigned>(count)) == 0);
}

/// Each thread has several packs in flight; a block takes neighbouring ones.
constexpr int kPacksAtOnce = 4;

template <class X, class B, class G, int kCount>
__global__ void __launch_bounds__(kThreads)
    bias_gelu_kernel(X* x, const B* bias, G* gelu, std::int64_t packs, std::int64_t columns) {
  auto* const values = reinterpret_cast<Pack<X, kCount>*>(x);
  auto* const results = reinterpret_cast<Pack<G, kCount>*>(gelu);
  const std::int64_t first = std::int64_t{blockIdx.x} * kThreads * kPacksAtOnce + threadIdx.x;
  Pack<X, kCount> value[kPacksAtOnce];
#pragma unroll
  for (int p = 0; p < kPacksAtOnce; ++p) {
    const std::int64_t i = first + p * kThreads;
    if (i < packs) value[p] = values[i];
  }
#pragma unroll
  for (int p = 0; p < kPacksAtOnce; ++p) {
    const std::int64_t i = first + p * kThreads;
    if (i >= packs) continue;
    if (bias != nullptr) {
      const auto add = *reinterpret_cast<const Pack<B, kCount>*>(bias + i * kCount % columns);
#pragma unroll
      for (int j = 0; j < kCount; ++j) {
        value[p].values[j] = from_float<X>(to_float(value[p].values[j]) + to_float(add.values[j]));
      }
      values[i] = value[p];
    }
    if (gelu == nullptr) continue;
    Pack<G, kCount> out;
#pragma unroll
    for (int j = 0; j < kCount; ++j) {
      out.values[j] =
          from_float<G>(cuda_backend::gelu_value<GeluPrecision<G>>(to_float(value[p].values[j])));
    }
    results[i] = out;
  }
}

/// Blocks for packs that threads take kPacksAtOnce at a time.
unsigned blocks_of_packs(std::int64_t packs) {
  constexpr std::int64_t kPerBlock = std::int64_t{kThreads} * kPacksAtOnce;
  return static_cast<unsigned>((packs + kPerBlock - 1) / kPerBlock);
}

template <class X, class B, class G>
void launch_bias_gelu(CudaContext& context, const BiasGelu& args) {
  constexpr int kCount = 8;
  auto* x = static_cast<X*>(args.x.data);
  const auto* bias = static_cast<const B*>(args.bias);
  auto* gelu = static_cast<G*>(args.gelu);
  const std::int64_t count = args.x.rows * args.x.columns;
  const std::int64_t columns = args.x.columns;
  const bool packed = packs(columns, sizeof(X), x, kCount) &&
                      packs(columns, sizeof(B), bias, kCount) &&
                      packs(columns, sizeof(G), gelu, kCount);
  if (packed) {
    bias_gelu_kernel<X, B, G, kCount>
        <<<blocks_of_packs(count / kCount), kThreads, 0, context.stream()>>>(
            x, bias, gelu, count / kCount, columns);
  } else {
    bias_gelu_kernel<X, B, G, 1>
        <<<blocks_of_packs(count), kThreads, 0, context.stream()>>>(x, bias, gelu, count, columns);
  }
  check_cuda(cudaGetLastError(), "bias and gelu");
}

template <class X, class B>
void launch_bias_gelu(CudaContext& context, const BiasGelu& args) {
  args.gelu_dtype == DType::bf16 ? launch_bias_gelu<X, B, __nv_bfloat16>(context, args)
                                 : launch_bias_gelu<X, B, float>(context, args);
}

template <class T, int kCount>
__global__ void __launch_bounds__(kThreads)
    gelu_gradient_kernel(T* dx, const T* x, std::int64_t packs) {
  using P = Pack<T, kCount>;
  auto* const gradients = reinterpret_cast<P*>(dx);
  const auto* const inputs = reinterpret_cast<const P*>(x);
  const std::int64_t first = std::int64_t{blockIdx.x} * kThreads * kPacksAtOnce + threadIdx.x;
  P gradient[kPacksAtOnce];
  P at[kPacksAtOnce];
#pragma unroll
  for (int p = 0; p < kPacksAtOnce; ++p) {
    const std::int64_t i = first + p * kThreads;
    if (i >= packs) continue;
    gradient[p] = gradients[i];
    at[p] = inputs[i];
  }
#pragma unroll
  for (int p = 0; p < kPacksAtOnce; ++p) {
    const std::int64_t i = first + p * kThreads;
    if (i >= packs) continue;
#pragma unroll
    for (int j = 0; j < kCount; ++j) {
      const float slope = cuda_backend::gelu_slope<GeluPrecision<T>>(to_float(at[p].values[j]));
      gradient[p].values[j] = from_float<T>(to_float(gradient[p].values[j]) * slope);
    }
    gradients[i] = gradient[p];
  }
}

template <class T, int kCount>
void launch_gelu_gradient(CudaContext& context, T* gradient, const T* x, std::int64_t packs) {
  gelu_gradient_kernel<T, kCount>
      <<<blocks_of_packs(packs), kThreads, 0, context.stream()>>>(gradient, x, packs);
}

template <class T>
void launch_gelu_gradient(CudaContext& context, const CudaMatrix& dx, const void* at) {
  constexpr int kCount = 16 / sizeof(T);
  auto* gradient = static_cast<T*>(dx.data);
  const auto* x = static_cast<const T*>(at);
  const std::int64_t count = dx.rows * dx.columns;
  if (packs(dx.columns, sizeof(T), gradient, kCount) && packs(dx.columns, sizeof(T), x, kCount)) {
    launch_gelu_gradient<T, kCount>(context, gradient, x, count / kCount);
  } else {
    launch_gelu_gradient<T, 1>(context, gradient, x, count);
  }
  check_cuda(cudaGetLastError(), "gelu gradient");
}

// Sums of columns: blocks of rows first, each to a row of `partial`; then those rows in their
// order.
constexpr int kSumPack = 8;
constexpr std::int64_t kMostRowBlocks = 128;

struct RowBlocks {
  std::int64_t rows = 0;  ///< Of one block.
  std::int64_t blocks = 0;
};

RowBlocks row_blocks(std::int64_t rows) {
  constexpr std::int64_t kFewest = 32;
  const std::int64_t each = std::max(kFewest, (rows + kMostRowBlocks - 1) / kMostRowBlocks);
  return {each, (rows + each - 1) / each};
}

template <class T, int kCount>
__global__ void partial_sums_kernel(const T* x, std::int64_t rows, std::int64_t columns,
                                    std::int64_t rows_each, float* partial) {
  __shared__ float sums[kWarps][kWarp * kCount];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const std::int64_t column = (std::int64_t{blockIdx.x} * kWarp + lane) * kCount;
  const std::int64_t first = blockIdx.y * rows_each;
  const std::int64_t last = first + rows_each < rows ? first + rows_each : rows;
  float sum[kCount] = {};
  if (column < columns) {
#pragma unroll 8
    for (std::int64_t row = first + warp; row < last; row += kWarps) {
      const auto values = *reinterpret_cast<const Pack<T, kCount>*>(x + row * columns + column);
#pragma unroll
      for (int j = 0; j < kCount; ++j) sum[j] += to_float(values.values[j]);
    }
  }
#pragma unroll
  for (int j = 0; j < kCount; ++j) sums[warp][lane * kCount + j] = sum[j];
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < kWarp * kCount; i += kThreads) {
    const std::int64_t to = std::int64_t{blockIdx.x} * kWarp * kCount + i;
    if (to >= columns) continue;
    float total = 0.0F;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) total += sums[w][i];
    partial[blockIdx.y * columns + to] = total;
  }
}

/// One warp a group of 32 columns is too few threads for few columns, so each block sums its
/// columns with all warps, block by block of rows.
__global__ void total_sums_kernel(const float* partial, std::int64_t blocks, std::int64_t columns,
                                  float* sums, bool accumulate) {
  __shared__ float totals[kWarps][kWarp];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const std::int64_t column = std::int64_t{blockIdx.x} * kWarp + lane;
  float total = 0.0F;
  if (column < columns) {
#pragma unroll 4
    for (std::int64_t b = warp; b < blocks; b += kWarps) total += partial[b * columns + column];
  }
  totals[warp][lane] = total;
  __syncthreads();
  if (warp != 0 || column >= columns) return;
  float all = accumulate ? sums[column] : 0.0F;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) all += totals[w][lane];
  sums[column] = all;
}

template <class T, int kCount>
void launch_partial_sums(CudaContext& context, const ColumnSums& args, const RowBlocks& cut) {
  const std::int64_t width = std::int64_t{kWarp} * kCount;
  const dim3 grid(static_cast<unsigned>((args.x.columns + width - 1) / width),
                  static_cast<unsigned>(cut.blocks));
  partial_sums_kernel<T, kCount><<<grid, kThreads, 0, context.stream()>>>(
      static_cast<const T*>(args.x.data), args.x.rows, args.x.columns, cut.rows, args.partial);
  check_cuda(cudaGetLastError(), "partial column sums");
}

template <class T>
void launch_partial_sums(CudaContext& context, const ColumnSums& args, const RowBlocks& cut) {
  if (packs(args.x.columns, sizeof(T), args.x.data, kSumPack)) {
    launch_partial_sums<T, kSumPack>(context, args, cut);
  } else {
    launch_partial_sums<T, 1>(context, args, cut);
  }
}

__global__ void add_vector_kernel(const float* from, float* to, std::int64_t count) {
  const std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < count) to[i] += from[i];
}

template <class From, class To>
__global__ void convert_vector_kernel(const From* from, To* to, std::int64_t count) {
  const std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < count) to[i] = from_float<To>(to_float(from[i]));
}

}  // namespace

void add_bias_gelu(CudaContext& context, const BiasGelu& args) {
  const bool bf16_bias = args.bias_dtype == DType::bf16;
  if (args.x.dtype == DType::bf16) {
    bf16_bias ? launch_bias_gelu<__nv_bfloat16, __nv_bfloat16>(context, args)
              : launch_bias_gelu<__nv_bfloat16, float>(context, args);
  } else {
    bf16_bias ? launch_bias_gelu<float, __nv_bfloat16>(context, args)
              : launch_bias_gelu<float, float>(context, args);
  }
}

void multiply_gelu_gradient(CudaContext& context, const CudaMatrix& dx, const void* x) {
  dx.dtype == DType::bf16 ? launch_gelu_gradient<__nv_bfloat16>(context, dx, x)
                          : launch_gelu_gradient<float>(context, dx, x);
}

std::size_t column_sums_scratch(const CudaMatrix& x) {
  return static_cast<std::size_t>(row_blocks(x.rows).blocks * x.columns) * sizeof(float);
}

void column_sums(CudaContext& context, const ColumnSums& args) {
  const RowBlocks cut = row_blocks(args.x.rows);
  args.x.dtype == DType::bf16 ? launch_partial_sums<__nv_bfloat16>(context, args, cut)
                              : launch_partial_sums<float>(context, args, cut);
  const auto blocks = static_cast<unsigned>((args.x.columns + kWarp - 1) / kWarp);
  total_sums_kernel<<<blocks, kThreads, 0, context.stream()>>>(
      args.partial, cut.blocks, args.x.columns, args.sums, args.accumulate);
  check_cuda(cudaGetLastError(), "column sums");
}

void convert_vector(CudaContext& context, const void* from, DType from_dtype, void* to,
                    std::int64_t count) {
  const auto blocks = static_cast<unsigned>((count + kThreads - 1) / kThreads);
  if (from_dtype == DType::f32) {
    convert_vector_kernel<<<blocks, kThreads, 0, context.stream()>>>(
        static_cast<const float*>(from), static_cast<__nv_bfloat16*>(to), count);
  } else {
    convert_vector_kernel<<<blocks, kThreads, 0, context.stream()>>>(
        static_cast<const __nv_bfloat16*>(from), static_cast<float*>(to), count);
  }
  check_cuda(cudaGetLastError(), "convert vector");
}

void add_vector(CudaContext& context, const float* from, float* to, std::int64_t count) {
  const auto blocks = static_cast<unsigned>((count + kThreads - 1) / kThreads);
  add_vector_kernel<<<blocks, kThreads, 0, context.stream()>>>(from, to, count);
  check_cuda(cudaGetLastError(), "add vector");
}

}  // namespace cajal::ops
