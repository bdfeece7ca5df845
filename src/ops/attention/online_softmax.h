// Softmax over keys that arrive block by block (Milakov and Gimelshein 2018).
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "ops/attention/causal.h"
#include "ops/attention/lanes.h"
#include "ops/attention/pack.h"

namespace cajal::ops::attention_kernels {

/// Running maximum and sum of kBlock queries. Scores lie as [key][query], so every step works on
/// whole vectors of queries and nothing is ever summed across lanes.
template <class Tile>
class OnlineSoftmax {
 public:
  using Element = typename Tile::Element;

  /// `scale` takes a score to the exponent of 2.
  explicit OnlineSoftmax(float scale) : scale_(scale) {
    std::fill_n(max_, kBlock, -std::numeric_limits<float>::infinity());
    std::fill_n(shift_, kBlock, -std::numeric_limits<float>::infinity());
    std::fill_n(sum_, kBlock, 0.0F);
  }

  /// Turns scores [keys][kBlock] of queries [column, column + kHalf) into probabilities relative to
  /// the maximum so far, as operand B over keys. With `factors` (dropout) they are multiplied by
  /// them after they were summed. True when the maximum moved: earlier results must take
  /// correction().
  bool add(const CausalBlock& causal, int keys, int column, const float* scores,
           const float* factors, Element* probabilities) {
    Ints moved{};
    for (int c = column; c < column + kHalf; c += kLanes) {
      if (causal.masked()) {
        moved |= factors == nullptr
                     ? add_lanes<true, false>(causal, keys, c, scores, factors, probabilities)
                     : add_lanes<true, true>(causal, keys, c, scores, factors, probabilities);
      } else {
        moved |= factors == nullptr
                     ? add_lanes<false, false>(causal, keys, c, scores, factors, probabilities)
                     : add_lanes<false, true>(causal, keys, c, scores, factors, probabilities);
      }
    }
    std::int32_t any = 0;
    for (int i = 0; i < kLanes; ++i) any |= moved[i];
    return any != 0;
  }

  const float* correction() const { return correction_; }

  /// For query c: the factor that turns its sum of probabilities times values into their mean.
  float normaliser(int c) const { return 1.0F / sum_[c]; }

  /// For query c: the natural logarithm of the sum of exponentials.
  float log_sum(int c) const { return shift_[c] * std::numbers::ln2_v<float> + std::log(sum_[c]); }

 private:
  template <bool kMasked, bool kDropout>
  [[gnu::always_inline]] Ints add_lanes(const CausalBlock& causal, int keys, int column,
                                        const float* scores, const float* factors,
                                        Element* probabilities) {
    const Ints limit = causal.limit(column);
    const float* score = scores + column;
    const auto visible = [&](int r) {
      const Floats s = load<Floats>(score + r * kBlock);
      if constexpr (!kMasked) return s;
      return limit >= r ? s : splat(-std::numeric_limits<float>::infinity());
    };

    const Floats old_max = load<Floats>(max_ + column);
    Floats max0 = old_max;
    Floats max1 = old_max;
    Floats max2 = old_max;
    Floats max3 = old_max;
    for (int r = 0; r < keys; r += 4) {
      max0 = larger(visible(r), max0);
      max1 = larger(visible(r + 1), max1);
      max2 = larger(visible(r + 2), max2);
      max3 = larger(visible(r + 3), max3);
    }
    const Floats max = larger(larger(max0, max1), larger(max2, max3));
    const Floats shift = max * scale_;

    Floats even_sum{};
    Floats odd_sum{};
    for (int r = 0; r < keys; r += 2) {
      Floats even = exp2_lanes(visible(r) * scale_ - shift);
      Floats odd = exp2_lanes(visible(r + 1) * scale_ - shift);
      even_sum += even;
      odd_sum += odd;
      if constexpr (kDropout) {
        even *= load<Floats>(factors + r * kBlock + column);
        odd *= load<Floats>(factors + (r + 1) * kBlock + column);
      }
      Tile::store_right(probabilities, kBlock, r, column, even, odd);
    }

    const Floats correction = exp2_lanes(load<Floats>(shift_ + column) - shift);
    store_lanes(correction_ + column, correction);
    store_lanes(max_ + column, max);
    store_lanes(shift_ + column, shift);
    store_lanes(sum_ + column, load<Floats>(sum_ + column) * correction + (even_sum + odd_sum));
    return max != old_max;
  }

  float scale_;
  alignas(64) float max_[kBlock];
  alignas(
      64) float shift_[kBlock];  // max * scale, rounded once: all exponents use this very number.
  alignas(64) float sum_[kBlock];
  alignas(64) float correction_[kBlock];
};

}  // namespace cajal::ops::attention_kernels
