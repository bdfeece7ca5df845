// Philox4x32-10: random numbers that are a function of a counter and a key.
// Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace cajal::ops {

using PhiloxCounter = std::array<std::uint32_t, 4>;
using PhiloxKey = std::array<std::uint32_t, 2>;

inline constexpr std::uint32_t kPhiloxMultiplier0 = 0xD2511F53U;
inline constexpr std::uint32_t kPhiloxMultiplier1 = 0xCD9E8D57U;
inline constexpr std::uint32_t kPhiloxWeyl0 = 0x9E3779B9U;
inline constexpr std::uint32_t kPhiloxWeyl1 = 0xBB67AE85U;
inline constexpr int kPhiloxRounds = 10;

/// Four random words of one counter.
constexpr PhiloxCounter philox4x32(PhiloxCounter counter, PhiloxKey key) {
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const std::uint64_t product0 = std::uint64_t{kPhiloxMultiplier0} * counter[0];
    const std::uint64_t product1 = std::uint64_t{kPhiloxMultiplier1} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<std::uint32_t>(product0)};
    key[0] += kPhiloxWeyl0;
    key[1] += kPhiloxWeyl1;
  }
  return counter;
}

/// The [2] i32 tensor in which operations receive their seed.
inline PhiloxKey philox_key(const std::int32_t* seed) {
  return {static_cast<std::uint32_t>(seed[0]), static_cast<std::uint32_t>(seed[1])};
}

/// A word as a number in [0,1): its upper 24 bits, all of which a float holds.
constexpr float philox_uniform(std::uint32_t word) {
  return static_cast<float>(word >> 8) * 0x1p-24F;
}

/// philox_uniform(word) >= probability exactly when word >= philox_threshold(probability), for
/// probability in [0,1): dropout compares words and spares the conversion.
inline std::uint32_t philox_threshold(float probability) {
  return static_cast<std::uint32_t>(std::ceil(double{probability} * 0x1p24)) << 8;
}

/// Counters and words that philox_block makes at once: enough independent lanes to hide latency.
inline constexpr int kPhiloxBlockCounters = 32;
inline constexpr int kPhiloxBlockWords = 4 * kPhiloxBlockCounters;

/// words[w * kPhiloxBlockCounters + g] = word w of counter (group low, group high, stream, 0),
/// group = first_group + g, for g in [0, kPhiloxBlockCounters).
inline void philox_block_by_word(PhiloxKey key, std::uint64_t first_group, std::uint32_t stream,
                                 std::uint32_t* words) {
  constexpr int n = kPhiloxBlockCounters;
  std::uint32_t* c0 = words;
  std::uint32_t* c1 = words + n;
  std::uint32_t* c2 = words + 2 * n;
  std::uint32_t* c3 = words + 3 * n;
#pragma omp simd
  for (int g = 0; g < n; ++g) {
    const std::uint64_t group = first_group + static_cast<std::uint64_t>(g);
    c0[g] = static_cast<std::uint32_t>(group);
    c1[g] = static_cast<std::uint32_t>(group >> 32);
    c2[g] = stream;
    c3[g] = 0;
  }
  for (int round = 0; round < kPhiloxRounds; ++round) {
#pragma omp simd
    for (int g = 0; g < n; ++g) {
      const std::uint64_t product0 = std::uint64_t{kPhiloxMultiplier0} * c0[g];
      const std::uint64_t product1 = std::uint64_t{kPhiloxMultiplier1} * c2[g];
      c0[g] = static_cast<std::uint32_t>(product1 >> 32) ^ c1[g] ^ key[0];
      c1[g] = static_cast<std::uint32_t>(product1);
      c2[g] = static_cast<std::uint32_t>(product0 >> 32) ^ c3[g] ^ key[1];
      c3[g] = static_cast<std::uint32_t>(product0);
    }
    key[0] += kPhiloxWeyl0;
    key[1] += kPhiloxWeyl1;
  }
}

/// words[4 g + w] = the same: the words of elements 4 first_group onward.
inline void philox_block(PhiloxKey key, std::uint64_t first_group, std::uint32_t stream,
                         std::uint32_t* words) {
  constexpr int n = kPhiloxBlockCounters;
  alignas(64) std::uint32_t c[kPhiloxBlockWords];
  philox_block_by_word(key, first_group, stream, c);
#pragma omp simd
  for (int g = 0; g < n; ++g) {
    words[4 * g] = c[g];
    words[4 * g + 1] = c[n + g];
    words[4 * g + 2] = c[2 * n + g];
    words[4 * g + 3] = c[3 * n + g];
  }
}

}  // namespace cajal::ops
