#include <cuda_bf16.h>
#include <cuda_fp8.h>

#include <algorithm>
#include <cstdint>

#include "ops/linear/cuda_fp8.h"

namespace cajal::ops {
namespace {

constexpr int kThreads = 256;
constexpr int kPack = 8;
constexpr int kTile = 64;
constexpr float kLargestE4m3 = 448.0F;
constexpr float kLargestE5m2 = 57344.0F;

struct alignas(16) Pack {
  __nv_bfloat16 values[kPack];
};

struct alignas(8) Packed {
  __nv_fp8_storage_t values[kPack];
};

__device__ unsigned larger(unsigned a, unsigned b) { return a > b ? a : b; }

/// Magnitudes compare as their bits do, NaN above all, so the order of the maxima does not matter.
__global__ void largest_kernel(const __nv_bfloat16* x, std::int64_t packs, unsigned* largest) {
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x;
  unsigned mine = 0;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < packs;
       i += stride) {
    const Pack pack = reinterpret_cast<const Pack*>(x)[i];
#pragma unroll
    for (const __nv_bfloat16 value : pack.values) {
      mine = larger(mine, __float_as_uint(fabsf(__bfloat162float(value))));
    }
  }
  mine = __reduce_max_sync(0xffffffffU, mine);
  if (threadIdx.x % 32 == 0) atomicMax(largest, mine);
}

/// The scale that maps the largest magnitude to the format's; 1 where that is 0 or not finite.
__device__ float scale_of(unsigned largest, float format_largest) {
  const float value = __uint_as_float(largest);
  return value > 0.0F && isfinite(value) ? value / format_largest : 1.0F;
}

__global__ void quantize_kernel(const __nv_bfloat16* x, std::int64_t packs, float format_largest,
                                __nv_fp8_interpretation_t format, float* scale,
                                __nv_fp8_storage_t* to) {
  const float by = scale_of(reinterpret_cast<const unsigned*>(scale)[1], format_largest);
  if (blockIdx.x == 0 && threadIdx.x == 0) *scale = by;
  const float inverse = 1.0F / by;
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < packs;
       i += stride) {
    const Pack pack = reinterpret_cast<const Pack*>(x)[i];
    Packed packed;
#pragma unroll
    for (int j = 0; j < kPack; ++j) {
      packed.values[j] =
          __nv_cvt_float_to_fp8(__bfloat162float(pack.values[j]) * inverse, __NV_SATFINITE, format);
    }
    reinterpret_cast<Packed*>(to)[i] = packed;
  }
}

/// A tile of 64 x 64 through shared memory; 4 rows of 64 threads.
__global__ void quantize_transposed_kernel(const __nv_bfloat16* x, std::int64_t rows,
                                           std::int64_t columns, float format_largest,
                                           __nv_fp8_interpretation_t format, float* scale,
                                           __nv_fp8_storage_t* to) {
  __shared__ __nv_fp8_storage_t tile[kTile][kTile + 4];
  const float by = scale_of(reinterpret_cast<const unsigned*>(scale)[1], format_largest);
  if (blockIdx.x == 0 && blockIdx.y == 0 && threadIdx.x == 0) *scale = by;
  const float inverse = 1.0F / by;
  const std::int64_t row = std::int64_t{blockIdx.y} * kTile;
  const std::int64_t column = std::int64_t{blockIdx.x} * kTile;
  const int across = static_cast<int>(threadIdx.x) % kTile;
  for (int down = static_cast<int>(threadIdx.x) / kTile; down < kTile; down += kThreads / kTile) {
    if (row + down >= rows || column + across >= columns) continue;
    tile[down][across] = __nv_cvt_float_to_fp8(
        __bfloat162float(x[(row + down) * columns + column + across]) * inverse, __NV_SATFINITE,
        format);
  }
  __syncthreads();
  for (int down = static_cast<int>(threadIdx.x) / kTile; down < kTile; down += kThreads / kTile) {
    if (column + down >= columns || row + across >= rows) continue;
    to[(column + down) * rows + row + across] = tile[across][down];
  }
}

unsigned blocks_for(std::int64_t packs, const CudaProperties& device) {
  constexpr std::int64_t kWaves = 8;
  return static_cast<unsigned>(std::clamp<std::int64_t>(
      (packs + kThreads - 1) / kThreads, 1, std::int64_t{device.multiprocessors} * kWaves));
}

std::size_t up_to(std::size_t bytes, std::size_t multiple) {
  return (bytes + multiple - 1) / multiple * multiple;
}

}  // namespace

std::size_t fp8_operand_bytes(const CudaMatrix& x) {
  return kFp8ScaleBytes + up_to(static_cast<std::size_t>(x.rows * x.columns), kFp8ScaleBytes);
}

Fp8Operand place_fp8(std::byte* room) {
  return {room + kFp8ScaleBytes, reinterpret_cast<float*>(room)};
}

void quantize_fp8(CudaContext& context, const CudaMatrix& x, Fp8Format format, bool transposed,
                  const Fp8Operand& to) {
  const auto* from = static_cast<const __nv_bfloat16*>(x.data);
  auto* data = reinterpret_cast<__nv_fp8_storage_t*>(to.data);
  const bool e4m3 = format == Fp8Format::e4m3;
  const float largest = e4m3 ? kLargestE4m3 : kLargestE5m2;
  const __nv_fp8_interpretation_t kind = e4m3 ? __NV_E4M3 : __NV_E5M2;
  const std::int64_t packs = x.rows * x.columns / kPack;
  const unsigned blocks = blocks_for(packs, context.device());
  check_cuda(cudaMemsetAsync(to.scale, 0, 2 * sizeof(float), context.stream()), "cudaMemsetAsync");
  largest_kernel<<<blocks, kThreads, 0, context.stream()>>>(
      from, packs, reinterpret_cast<unsigned*>(to.scale) + 1);
  check_cuda(cudaGetLastError(), "largest magnitude");
  if (transposed) {
    const dim3 tiles(static_cast<unsigned>((x.columns + kTile - 1) / kTile),
                     static_cast<unsigned>((x.rows + kTile - 1) / kTile));
    quantize_transposed_kernel<<<tiles, kThreads, 0, context.stream()>>>(
        from, x.rows, x.columns, largest, kind, to.scale, data);
  } else {
    quantize_kernel<<<blocks, kThreads, 0, context.stream()>>>(from, packs, largest, kind, to.scale,
                                                               data);
  }
  check_cuda(cudaGetLastError(), "quantize to fp8");
}

}  // namespace cajal::ops
