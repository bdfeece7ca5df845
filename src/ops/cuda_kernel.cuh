// What the CUDA kernels of operations share: packs of elements, reductions, faults, launches.
#pragma once

#include <cuda_bf16.h>

#include <algorithm>
#include <cstdint>
#include <nv/target>
#include <string_view>

#include "runtime/cuda/context.h"
#include "runtime/cuda/kernel_fault.cuh"

namespace cajal::ops::cuda_backend {

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffU;

/// Elements in 16 bytes, the most that a thread loads at once.
template <class T>
inline constexpr int kLanes = static_cast<int>(16 / sizeof(T));

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ inline void store_one(float* to, float x) { *to = x; }
__device__ inline void store_one(__nv_bfloat16* to, float x) { *to = __float2bfloat16_rn(x); }

/// kCount elements as they lie in memory, in registers. Indices must be known when compiled.
template <class T, int kCount = kLanes<T>>
struct Pack {
  static constexpr int kWords = kCount * static_cast<int>(sizeof(T)) / 4;
  static_assert(kWords == 1 || kWords % 2 == 0);
  std::uint32_t words[kWords];

  __device__ float get(int i) const {
    if constexpr (sizeof(T) == 4) {
      return __uint_as_float(words[i]);
    } else {
      const std::uint32_t word = words[i / 2];
      return __uint_as_float(i % 2 == 0 ? word << 16 : word & 0xffff0000U);
    }
  }
  __device__ void unpack(float (&to)[kCount]) const {
#pragma unroll
    for (int i = 0; i < kCount; ++i) to[i] = get(i);
  }
  __device__ static Pack of(const float (&from)[kCount]) {
    Pack pack;
#pragma unroll
    for (int w = 0; w < kWords; ++w) {
      if constexpr (sizeof(T) == 4) {
        pack.words[w] = __float_as_uint(from[w]);
      } else {
        const __nv_bfloat162 pair = __floats2bfloat162_rn(from[2 * w], from[2 * w + 1]);
        pack.words[w] = static_cast<std::uint32_t>(__bfloat16_as_ushort(pair.y)) << 16 |
                        __bfloat16_as_ushort(pair.x);
      }
    }
    return pack;
  }
};

/// Whether the caches should keep what is loaded or stored; `stream` is for what is used once.
enum class Cached { keep, stream };

/// `from` is aligned to the pack's bytes, or to 16 where it has more.
template <class T, int kCount = kLanes<T>, Cached kCached = Cached::keep>
__device__ Pack<T, kCount> load_pack(const T* from) {
  Pack<T, kCount> pack;
  if constexpr (pack.kWords % 4 == 0) {
#pragma unroll
    for (int w = 0; w < pack.kWords; w += 4) {
      const uint4* at = reinterpret_cast<const uint4*>(from) + w / 4;
      const uint4 raw = kCached == Cached::stream ? __ldcs(at) : *at;
      pack.words[w] = raw.x;
      pack.words[w + 1] = raw.y;
      pack.words[w + 2] = raw.z;
      pack.words[w + 3] = raw.w;
    }
  } else if constexpr (pack.kWords == 2) {
    const uint2* at = reinterpret_cast<const uint2*>(from);
    const uint2 raw = kCached == Cached::stream ? __ldcs(at) : *at;
    pack.words[0] = raw.x;
    pack.words[1] = raw.y;
  } else {
    static_assert(pack.kWords == 1);
    pack.words[0] = *reinterpret_cast<const std::uint32_t*>(from);
  }
  return pack;
}

template <Cached kCached = Cached::keep, class T, int kCount>
__device__ void store_pack(T* to, const Pack<T, kCount>& pack) {
  if constexpr (pack.kWords % 4 == 0) {
#pragma unroll
    for (int w = 0; w < pack.kWords; w += 4) {
      uint4* at = reinterpret_cast<uint4*>(to) + w / 4;
      const uint4 raw{pack.words[w], pack.words[w + 1], pack.words[w + 2], pack.words[w + 3]};
      kCached == Cached::stream ? __stcs(at, raw) : static_cast<void>(*at = raw);
    }
  } else if constexpr (pack.kWords == 2) {
    uint2* at = reinterpret_cast<uint2*>(to);
    const uint2 raw{pack.words[0], pack.words[1]};
    kCached == Cached::stream ? __stcs(at, raw) : static_cast<void>(*at = raw);
  } else {
    static_assert(pack.kWords == 1);
    *reinterpret_cast<std::uint32_t*>(to) = pack.words[0];
  }
}

/// The first `valid` of kCount elements, 0 for the others; in packs where `aligned` allows.
template <int kCount, class T>
__device__ void load_some(const T* from, std::int64_t valid, bool aligned, float (&to)[kCount]) {
  if (aligned && valid >= kCount) {
    load_pack<T, kCount>(from).unpack(to);
    return;
  }
#pragma unroll
  for (int i = 0; i < kCount; ++i) to[i] = i < valid ? to_float(from[i]) : 0.0F;
}

/// Stores the first `valid` of kCount elements.
template <int kCount, class T>
__device__ void store_some(T* to, std::int64_t valid, bool aligned, const float (&from)[kCount]) {
  if (aligned && valid >= kCount) {
    store_pack(to, Pack<T, kCount>::of(from));
    return;
  }
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    if (i < valid) store_one(to + i, from[i]);
  }
}

// Reductions: the order of the additions is fixed, and every thread gets the same bits.

template <class V>
__device__ V warp_sum(V x) {
#pragma unroll
  for (int mask = kWarp / 2; mask > 0; mask /= 2) x += __shfl_xor_sync(kAllLanes, x, mask);
  return x;
}

__device__ inline float warp_max(float x) {
#pragma unroll
  for (int mask = kWarp / 2; mask > 0; mask /= 2) {
    x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, mask));
  }
  return x;
}

/// Every thread of a block of whole warps, threadIdx.y and .z being 0, must call it.
template <class V, class Reduce>
__device__ V block_reduce(V x, V neutral, const Reduce& reduce) {
  __shared__ V of_warp[kWarp];
  const unsigned lane = threadIdx.x % kWarp;
  x = reduce(x);
  __syncthreads();  // An earlier call may still be read.
  if (lane == 0) of_warp[threadIdx.x / kWarp] = x;
  __syncthreads();
  return reduce(lane < blockDim.x / kWarp ? of_warp[lane] : neutral);
}

template <class V>
__device__ V block_sum(V x) {
  return block_reduce(x, V{}, [](V of_lane) { return warp_sum(of_lane); });
}

/// `lowest` is no larger than any x.
__device__ inline float block_max(float x, float lowest) {
  return block_reduce(x, lowest, [](float of_lane) { return warp_max(of_lane); });
}

/// warp_sum of kN values (a power of two) at once, in fewer steps: returns the total of x[i] to the
/// lanes with i = lane / (kWarp / kN).
template <int kN>
__device__ float warp_sums(float (&x)[kN]) {
  static_assert(kN > 1 && kN <= kWarp && (kN & (kN - 1)) == 0);
  int mask = kWarp / 2;
#pragma unroll
  for (int kept = kN / 2; kept > 0; kept /= 2, mask /= 2) {
    const bool upper = (threadIdx.x & static_cast<unsigned>(mask)) != 0;
#pragma unroll
    for (int i = 0; i < kept; ++i) {
      const float given = upper ? x[i] : x[i + kept];
      x[i] = (upper ? x[i + kept] : x[i]) + __shfl_xor_sync(kAllLanes, given, mask);
    }
  }
#pragma unroll
  for (; mask > 0; mask /= 2) x[0] += __shfl_xor_sync(kAllLanes, x[0], mask);
  return x[0];
}

// A kernel started by launch_after runs beside the one before it in the stream, where the device
// can: it calls wait_for_previous() before it reads what that one writes, or writes what that one
// touches. The one before it says let_next_start() when the next may take what room there is; all
// that ran before both has ended by then.

__device__ inline void wait_for_previous() {
  NV_IF_TARGET(NV_PROVIDES_SM_90, (asm volatile("griddepcontrol.wait;" ::: "memory");))
}

__device__ inline void let_next_start() {
  NV_IF_TARGET(NV_PROVIDES_SM_90, (asm volatile("griddepcontrol.launch_dependents;");))
}

// The host's side.

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// As a grid's or a block's dimension.
constexpr unsigned extent(std::int64_t n) { return static_cast<unsigned>(n); }

/// True when all addresses are multiples of 16; null is.
template <class... T>
bool aligned_to_packs(const T*... addresses) {
  return ((reinterpret_cast<std::uintptr_t>(addresses) % 16 == 0) && ...);
}

struct LaunchShape {
  dim3 grid;
  dim3 block;
  std::size_t shared_bytes = 0;
};

/// A grid of no blocks is no work.
template <class... Params, class... Args>
void launch(const CudaContext& context, std::string_view name, void (*kernel)(Params...),
            const LaunchShape& shape, Args&&... args) {
  constexpr std::size_t kWithoutOptIn = 48 << 10;
  if (shape.grid.x == 0 || shape.grid.y == 0) return;
  if (shape.shared_bytes > kWithoutOptIn) {
    check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(shape.shared_bytes)),
               "cudaFuncSetAttribute");
    check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                                    cudaSharedmemCarveoutMaxShared),
               "cudaFuncSetAttribute");
  }
  kernel<<<shape.grid, shape.block, shape.shared_bytes, context.stream()>>>(
      static_cast<Args&&>(args)...);
  check_cuda(cudaGetLastError(), name);
}

/// For a kernel that calls wait_for_previous(), right after the ordinary launch it depends on.
template <class... Params, class... Args>
void launch_after(const CudaContext& context, std::string_view name, void (*kernel)(Params...),
                  const LaunchShape& shape, Args&&... args) {
  if (shape.grid.x == 0 || shape.grid.y == 0) return;
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = context.stream();
  config.attrs = &early;
  config.numAttrs = context.device().major >= 9 ? 1 : 0;
  check_cuda(cudaLaunchKernelEx(&config, kernel, static_cast<Args&&>(args)...), name);
}

}  // namespace cajal::ops::cuda_backend
