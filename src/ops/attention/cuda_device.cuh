// What the device code of attention shares: rows of a head, dropout's random bits, exponentials.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>
#include <limits>

#include "ops/attention/cuda_problem.h"
#include "ops/philox.h"

namespace cajal::ops::cuda_attention {

inline constexpr int kTile = 64;  ///< Tokens of a block, keys always and queries mostly.
inline constexpr unsigned kAllLanes = 0xffffffffU;

/// The rows of one head.
template <class T>
struct Rows {
  T* data;
  std::int64_t stride;

  __device__ T* row(int token) const { return data + token * stride; }
};

template <class T>
__device__ Rows<T> rows_of(const HeadRows<T>& tensor, const Sizes& sizes, int head) {
  const int batch = head / sizes.heads_a_sequence;
  const int column = head % sizes.heads_a_sequence * sizes.width;
  return {tensor.data + batch * tensor.batch_stride + column, tensor.token_stride};
}

/// Where the first query stands, or -1 when its tokens do not fit.
template <class T>
__device__ int first_position(const ForwardProblem<T>& problem) {
  if (problem.position == nullptr) return 0;
  const int position = *problem.position;
  return position <= problem.capacity - problem.sizes.tokens ? position : -1;
}

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ inline void store(float* to, float x) { *to = x; }
__device__ inline void store(__nv_bfloat16* to, float x) { *to = __float2bfloat16_rn(x); }

__device__ inline float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

__device__ inline float minus_infinity() { return -std::numeric_limits<float>::infinity(); }

/// A maximum that may be subtracted: that of nothing becomes 0, so that exponentials of minus
/// infinity stay 0.
__device__ inline float finite_shift(float max) { return max == minus_infinity() ? 0.0F : max; }

/// The random bits of one head.
class DropoutBits {
 public:
  __device__ DropoutBits(const Dropout& dropout, int head, int tokens)
      : key_{static_cast<std::uint32_t>(dropout.seed[0]),
             static_cast<std::uint32_t>(dropout.seed[1])},
        stream_(dropout.stream),
        threshold_(dropout.threshold),
        tokens_(tokens),
        first_row_(static_cast<std::int64_t>(head) * ((tokens + 3) / 4)) {}

  /// Bit i says whether the probability of `query` and key 4 * key_group + i is kept.
  __device__ std::uint32_t four_keys(int query, int key_group) const {
    const auto group = static_cast<std::uint64_t>((first_row_ + key_group) * tokens_ + query);
    const PhiloxCounter words = philox4x32(
        {static_cast<std::uint32_t>(group), static_cast<std::uint32_t>(group >> 32), stream_, 0},
        key_);
    std::uint32_t bits = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) bits |= (words[i] >= threshold_ ? 1U : 0U) << i;
    return bits;
  }

 private:
  PhiloxKey key_;
  std::uint32_t stream_;
  std::uint32_t threshold_;
  int tokens_;
  std::int64_t first_row_;
};

}  // namespace cajal::ops::cuda_attention
