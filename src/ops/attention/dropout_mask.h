// Which probabilities of attention are dropped.
#pragma once

#include <cstdint>

#include "ops/attention/attention.h"
#include "ops/attention/pack.h"
#include "ops/philox.h"

namespace cajal::ops::attention_kernels {

/// The factors, 0 or 1 / (1 - probability), of one head. attention.h says which random word belongs
/// to which probability; forward and backward ask for the same blocks.
class DropoutMask {
 public:
  DropoutMask() = default;
  DropoutMask(PhiloxKey key, std::uint32_t stream, float probability)
      : key_(key),
        stream_(stream),
        threshold_(philox_threshold(probability)),
        kept_(1.0F / (1.0F - probability)) {}

  explicit operator bool() const { return kept_ != 0.0F; }

  /// factors[key][query] of a block of head `head` (counted over the batch).
  void fill(std::int64_t head, std::int64_t tokens, std::int64_t first_query,
            std::int64_t first_key, float* factors) const {
    static_assert(kBlock % kPhiloxBlockCounters == 0);
    const std::int64_t key_groups = (tokens + 3) / 4;
    for (int r = 0; r < kBlock; r += 4) {
      const std::int64_t row = (head * key_groups + (first_key + r) / 4) * tokens + first_query;
      for (int c = 0; c < kBlock; c += kPhiloxBlockCounters) {
        fill_four_keys(static_cast<std::uint64_t>(row + c), factors + r * kBlock + c);
      }
    }
  }

 private:
  void fill_four_keys(std::uint64_t group, float* factors) const {
    alignas(64) std::uint32_t words[kPhiloxBlockWords];
    philox_block_by_word(key_, group, stream_, words);
    const std::uint32_t threshold = threshold_;  // Stores to factors might change a member.
    const float kept = kept_;
    for (int w = 0; w < 4; ++w) {
#pragma omp simd
      for (int c = 0; c < kPhiloxBlockCounters; ++c) {
        factors[w * kBlock + c] = words[w * kPhiloxBlockCounters + c] >= threshold ? kept : 0.0F;
      }
    }
  }

  PhiloxKey key_{};
  std::uint32_t stream_ = 0;
  std::uint32_t threshold_ = 0;
  float kept_ = 0.0F;
};

inline DropoutMask dropout_mask(const AttentionDropout& dropout) {
  if (dropout.probability == 0.0F) return {};
  return {philox_key(dropout.seed.data<std::int32_t>()), dropout.stream, dropout.probability};
}

}  // namespace cajal::ops::attention_kernels
