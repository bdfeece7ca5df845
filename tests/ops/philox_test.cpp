// Philox against the known answers of its authors' library (Random123, tests/kat_vectors).
#include "ops/philox.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>

namespace cajal::ops {
namespace {

TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (PhiloxCounter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, BlockMatchesSingleCounters) {
  const PhiloxKey key{0x12345678, 0x9abcdef0};
  // The last block crosses the boundary of the counter's low word.
  for (const std::uint64_t first :
       {std::uint64_t{0}, std::uint64_t{77}, std::uint64_t{0xfffffff0}}) {
    std::array<std::uint32_t, kPhiloxBlockWords> words{};
    philox_block(key, first, 9, words.data());
    std::array<std::uint32_t, kPhiloxBlockWords> by_word{};
    philox_block_by_word(key, first, 9, by_word.data());
    for (int g = 0; g < kPhiloxBlockCounters; ++g) {
      const std::uint64_t group = first + static_cast<std::uint64_t>(g);
      const auto want = philox4x32(
          {static_cast<std::uint32_t>(group), static_cast<std::uint32_t>(group >> 32), 9, 0}, key);
      for (int w = 0; w < 4; ++w) {
        EXPECT_EQ(words[4 * g + w], want[w]) << group << " word " << w;
        EXPECT_EQ(by_word[w * kPhiloxBlockCounters + g], want[w]) << group << " word " << w;
      }
    }
  }
}

TEST(Philox, ThresholdAgreesWithUniform) {
  for (const float p : {0.0F, 0x1p-24F, 0.1F, 0.5F, 0.9F, 1.0F - 0x1p-24F}) {
    const std::uint32_t threshold = philox_threshold(p);
    std::uint32_t word = 0x9E3779B9U;
    for (int i = 0; i < 10000; ++i, word = word * 1664525U + 1013904223U) {
      EXPECT_EQ(word >= threshold, philox_uniform(word) >= p) << p << ' ' << word;
    }
    if (threshold != 0) {
      EXPECT_LT(philox_uniform(threshold - 1), p);
    }
    EXPECT_GE(philox_uniform(threshold), p);
  }
}

}  // namespace
}  // namespace cajal::ops
