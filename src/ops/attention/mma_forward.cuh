// A warp's part of the forward pass on tensor cores: 16 queries against tiles of keys.
#pragma once

#include <numbers>

#include "ops/attention/mma_dropout.cuh"
#include "ops/attention/mma_tile.cuh"

namespace cajal::ops::cuda_attention {

/// Online softmax and the sums of values, as accumulators lie.
template <int kWidth>
class WarpForward {
 public:
  /// `query` is where this lane's two rows stand; `scale` takes a score to the exponent of 2.
  __device__ WarpForward(float scale, int upper, int lower)
      : scale_(scale), query_{upper, lower}, max_{minus_infinity(), minus_infinity()} {}

  /// Scores of a tile become probabilities relative to the maximum so far, and earlier sums follow.
  __device__ void add_scores(float (&scores)[kTile / 8][4], int first_key, bool masked) {
    if (masked) mask(scores, first_key);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float max = max_[half];
#pragma unroll
      for (auto& s : scores) max = fmaxf(max, fmaxf(s[2 * half], s[2 * half + 1]));
      max = fmaxf(max, __shfl_xor_sync(kAllLanes, max, 1));
      max = fmaxf(max, __shfl_xor_sync(kAllLanes, max, 2));
      const float shift = finite_shift(max) * scale_;
      const float correction = exp2_fast(max_[half] * scale_ - shift);
      max_[half] = max;
      float sum = 0.0F;
#pragma unroll
      for (auto& s : scores) {
        s[2 * half] = exp2_fast(fmaf(s[2 * half], scale_, -shift));
        s[2 * half + 1] = exp2_fast(fmaf(s[2 * half + 1], scale_, -shift));
        sum += s[2 * half] + s[2 * half + 1];
      }
      sum_[half] = sum_[half] * correction + sum;
      scale_row(half, correction);
    }
  }

  /// `careful`: some value is not finite, and must not reach queries that do not see it, as the
  /// product of 0 and infinity would.
  __device__ void add_values(const float (&probabilities)[kTile / 8][4], const Bf16* values,
                             int first_key, bool careful) {
    LeftFragment left[kTile / 16];
#pragma unroll
    for (int k = 0; k < kTile / 16; ++k) {
      left[k] = to_left(probabilities[2 * k], probabilities[2 * k + 1]);
    }
    if (careful) {
      add_visible_not_finite(values, first_key);
      multiply_columns<kWidth, kTile, true>(out_, left, values);
    } else {
      multiply_columns<kWidth, kTile>(out_, left, values);
    }
  }

  /// Hands over through `room`, which has space for kFloats of each of `threads` threads.
  static constexpr int kFloats = kWidth / 2 + 4;
  __device__ void put(float* room, int thread, int threads) const {
    float* to = room + thread;
#pragma unroll
    for (auto& column : out_) {
#pragma unroll
      for (const float x : column) *to = x, to += threads;
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      *to = max_[half], to += threads;
      *to = sum_[half], to += threads;
    }
  }

  /// Adds what the same thread of another group put.
  __device__ void merge(const float* room, int thread, int threads) {
    const float* const from = room + thread;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float other_max = from[(kWidth / 2 + 2 * half) * threads];
      const float other_sum = from[(kWidth / 2 + 2 * half + 1) * threads];
      const float max = fmaxf(max_[half], other_max);
      const float shift = finite_shift(max) * scale_;
      const float mine = exp2_fast(max_[half] * scale_ - shift);
      const float other = exp2_fast(other_max * scale_ - shift);
      max_[half] = max;
      sum_[half] = sum_[half] * mine + other_sum * other;
#pragma unroll
      for (int n = 0; n < kWidth / 8; ++n) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          out_[n][i] = out_[n][i] * mine + from[(4 * n + i) * threads] * other;
        }
      }
    }
  }

  /// Writes rows `row` of out, times `factor`, and of lse unless that is null.
  __device__ void finish(const Rows<Bf16>& out, float* lse, const Sizes& sizes, const int (&row)[2],
                         float factor, bool vector) {
    float normaliser[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float sum = sum_[half];
      sum += __shfl_xor_sync(kAllLanes, sum, 1);
      sum += __shfl_xor_sync(kAllLanes, sum, 2);
      normaliser[half] = factor / sum;
      if (lse != nullptr && threadIdx.x % 4 == 0 && row[half] < sizes.tokens) {
        lse[row[half]] = max_[half] * scale_ * std::numbers::ln2_v<float> + logf(sum);
      }
    }
    store_sums<kWidth>(out_, out, sizes.width, row, sizes.tokens, normaliser, vector);
  }

 private:
  __device__ void mask(float (&scores)[kTile / 8][4], int first_key) const {
    const int key = first_key + static_cast<int>(threadIdx.x) % 4 * 2;
#pragma unroll
    for (int n = 0; n < kTile / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        if (key + 8 * n + i % 2 > query_[i / 2]) scores[n][i] = minus_infinity();
      }
    }
  }

  __device__ void scale_row(int half, float factor) {
#pragma unroll
    for (auto& column : out_) {
      column[2 * half] *= factor;
      column[2 * half + 1] *= factor;
    }
  }

  /// Whatever a probability, its product with such a value is infinite or NaN: the value itself
  /// will do.
  __device__ void add_visible_not_finite(const Bf16* values, int first_key) {
    const int column = static_cast<int>(threadIdx.x) % 4 * 2;
#pragma unroll 1
    for (int key = 0; key < kTile; ++key) {
#pragma unroll
      for (int n = 0; n < kWidth / 8; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const float value = to_float(values[key * kTileStride<kWidth> + 8 * n + column + i % 2]);
          if (!isfinite(value) && first_key + key <= query_[i / 2]) out_[n][i] += value;
        }
      }
    }
  }

  float scale_;
  int query_[2];
  float max_[2];
  float sum_[2] = {};
  float out_[kWidth / 8][4] = {};
};

}  // namespace cajal::ops::cuda_attention
