// Finds, without sorting, where a count or a share of weights that one block holds is reached when
// they are taken from the largest down.
#pragma once

#include <climits>
#include <cstdint>

#include "ops/cuda_kernel.cuh"

namespace cajal::ops::cuda_backend {

inline constexpr int kSelectThreads = 1024;
inline constexpr int kSelectBins = 1024;  // One a thread.

/// The sum of x over the threads up to and including this one. Whole blocks of kSelectThreads.
template <class V>
__device__ V block_scan(V x) {
  __shared__ V of_warp[kWarp];
  const unsigned lane = threadIdx.x % kWarp;
  const unsigned warp = threadIdx.x / kWarp;
  const auto scan = [lane](V value) {
#pragma unroll
    for (unsigned distance = 1; distance < kWarp; distance *= 2) {
      const V other = __shfl_up_sync(kAllLanes, value, distance);
      if (lane >= distance) value += other;
    }
    return value;
  };
  x = scan(x);
  __syncthreads();  // An earlier call may still be read.
  if (lane == kWarp - 1) of_warp[warp] = x;
  __syncthreads();
  const V warps = scan(of_warp[lane]);
  const V before = __shfl_sync(kAllLanes, warps, warp == 0 ? 0 : static_cast<int>(warp) - 1);
  return warp == 0 ? x : before + x;
}

__device__ inline int block_min(int x) {
  return block_reduce(x, INT_MAX,
                      [](int of_lane) { return __reduce_min_sync(kAllLanes, of_lane); });
}

/// Weights in [0, 1], none of them subnormal: their bits have their order. Bins hold weights whose
/// exponents are equal, so that the sum of their significands, in two parts, is exact: integers do
/// not depend on the order in which the threads come.
struct WeightBins {
  unsigned counts[kSelectBins];
  unsigned high[kSelectBins];
  unsigned low[kSelectBins];

  __device__ void clear() {
    counts[threadIdx.x] = 0;
    high[threadIdx.x] = 0;
    low[threadIdx.x] = 0;
  }
  __device__ void add(unsigned bin, std::uint32_t bits) {
    const std::uint32_t significand = bits == 0 ? 0 : (bits & 0x7fffffU) | 0x800000U;
    atomicAdd(&counts[bin], 1U);
    atomicAdd(&high[bin], significand >> 12);
    atomicAdd(&low[bin], significand & 0xfffU);
  }
  __device__ double sum(unsigned bin, unsigned exponent) const {
    return ldexp(high[bin] * 4096.0 + low[bin], static_cast<int>(exponent) - 150);
  }
};

/// What the weights must reach, from the largest down.
struct Goal {
  enum class Kind { count, weight, more_than_weight } kind;
  double value;

  __device__ bool reached(int count, double weight) const {
    if (kind == Kind::count) return count >= value;
    return kind == Kind::weight ? weight >= value : weight > value;
  }
};

/// The weight that reaches the goal, and the larger ones.
struct Crossing {
  std::uint32_t bits = 0;
  int ties = 0;  ///< Weights equal to it.
  int count_before = 0;
  double weight_before = 0.0;
};

class WeightSelector {
 public:
  /// `all` has every weight in its bin_of_all; `part` is for use here.
  __device__ WeightSelector(const float* weights, int count, const WeightBins& all,
                            WeightBins& part)
      : weights_(weights), count_(count), all_(all), part_(part) {}

  __device__ static unsigned bin_of_all(std::uint32_t bits) { return bits >> shift_of(0); }

  /// Where rounding keeps the goal out of reach: the smallest weight that counts.
  __device__ Crossing find(const Goal& goal) {
    Crossing at;
    for (int level = 0; level < kLevels; ++level) {
      if (level > 0) fill(level, at.bits);
      at = descend(level, goal, at);
    }
    return at;
  }

 private:
  static constexpr int kLevels = 3;

  /// Every level looks at ten bits more.
  __device__ static constexpr int shift_of(int level) { return 20 - 10 * level; }

  /// Bins of the weights that share the bits above the level's.
  __device__ void fill(int level, std::uint32_t bits) {
    __syncthreads();  // The level before may still be read.
    part_.clear();
    __syncthreads();
    const int shift = shift_of(level);
#pragma unroll 4
    for (int i = static_cast<int>(threadIdx.x); i < count_; i += kSelectThreads) {
      const std::uint32_t own = __float_as_uint(weights_[i]);
      if (own >> (shift + 10) == bits >> (shift + 10)) {
        part_.add(own >> shift & (kSelectBins - 1), own);
      }
    }
    __syncthreads();
  }

  __device__ Crossing descend(int level, const Goal& goal, const Crossing& above) {
    __shared__ double up_to[kSelectThreads];
    __shared__ Crossing found;
    const WeightBins& bins = level == 0 ? all_ : part_;
    const auto thread = static_cast<int>(threadIdx.x);
    const unsigned bin = kSelectBins - 1 - threadIdx.x;
    const std::uint32_t bits = above.bits | bin << shift_of(level);
    const int ties = static_cast<int>(bins.counts[bin]);
    const double weight = bins.sum(bin, bits >> 23);
    const int count = above.count_before + block_scan(ties);
    up_to[thread] = above.weight_before + block_scan(weight);
    __syncthreads();
    const bool present = goal.kind == Goal::Kind::count ? ties > 0 : weight > 0.0;
    const bool reached = present && goal.reached(count, up_to[thread]);
    int crossing = block_min(reached ? thread : kSelectThreads);
    if (crossing == kSelectThreads) crossing = -block_min(present ? -thread : 0);
    if (thread == crossing) {
      found = {bits, ties, count - ties, thread == 0 ? above.weight_before : up_to[thread - 1]};
    }
    __syncthreads();
    return found;
  }

  const float* weights_;
  int count_;
  const WeightBins& all_;
  WeightBins& part_;
};

}  // namespace cajal::ops::cuda_backend
