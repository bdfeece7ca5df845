// Functions written so that compilers vectorise the loops that call them.
#pragma once

#include <bit>
#include <cstdint>

#include "cajal/dtype.h"

namespace cajal::ops {

/// to = value, rounded to its type. GCC 12 vectorises a store of the bits, not of the struct.
[[gnu::always_inline]] inline void store(float& to, float value) { to = value; }
[[gnu::always_inline]] inline void store(bfloat16& to, float value) {
  to.bits = bfloat16(value).bits;
}

/// e^x to within 1 unit in the last place where the compiler fuses multiply and add, 1.5 where it
/// does not; made for loops under `#pragma omp simd`.
///
/// Without branches, calls or tables. Infinity above 88.7228; 0 below -86.9, so that no subnormal
/// number slows the loops that follow; NaN stays NaN. Range reduction by Cody and Waite (1980),
/// then the Taylor polynomial of degree 7 on [-ln2/2, ln2/2].
[[gnu::always_inline]] inline float vector_exp(float x) {
  constexpr float kLowest = -86.9F;  // 2^(n-1) is still a normal number.
  constexpr float kLargest = 89.0F;  // Its exponential overflows by itself.
  constexpr float kLog2E = 1.44269504F;
  constexpr float kLn2High = 0.693359375F;  // 9 bits long: n * kLn2High is exact.
  constexpr float kLn2Low = -2.12194440e-4F;
  constexpr float kRound =
      12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer in the low bits.

  float t = x > kLargest ? kLargest : x;
  t = t < kLowest ? kLowest : t;
  const float shifted = t * kLog2E + kRound;
  const float n = shifted - kRound;
  const float r = (t - n * kLn2High) - n * kLn2Low;

  // 2 e^r, paired with 2^(n-1): n = 128 would not fit the exponent.
  float p = 2.0F / 5040.0F;
  p = p * r + 2.0F / 720.0F;
  p = p * r + 2.0F / 120.0F;
  p = p * r + 2.0F / 24.0F;
  p = p * r + 2.0F / 6.0F;
  p = p * r + 1.0F;
  p = p * r + 2.0F;
  p = p * r + 2.0F;
  const std::uint32_t exponent = std::bit_cast<std::uint32_t>(shifted) + (126U - 0x4b400000U);
  const float result = p * std::bit_cast<float>(exponent << 23U);
  return x < kLowest ? 0.0F : result;
}

}  // namespace cajal::ops
