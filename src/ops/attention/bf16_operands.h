// Sums in f32 become operands in bf16. Included only where the target has AVX512-BF16.
#pragma once

#include <immintrin.h>

#include "cajal/dtype.h"
#include "ops/attention/lanes.h"

namespace cajal::ops::attention_kernels {

/// Rounding to bf16 in the forms that products take.
struct Bf16Operands {
  using Element = bfloat16;
  static constexpr int kPair = 2;
  static constexpr int kDepthMultiple = 32;

  [[gnu::always_inline]] static void store_left(bfloat16* to, Floats v) {
    const auto rounded = _mm512_cvtneps_pbh(reinterpret_cast<__m512>(v));
    store_lanes(to, rounded);
  }

  [[gnu::always_inline]] static void store_right(bfloat16* b, int stride, int r, int c, Floats even,
                                                 Floats odd) {
    const auto both =
        _mm512_cvtne2ps_pbh(reinterpret_cast<__m512>(odd), reinterpret_cast<__m512>(even));
    // Lane i takes half-words i (even's) and 16 + i (odd's).
    const __m512i order = _mm512_add_epi32(reinterpret_cast<__m512i>(lane_numbers() * 0x10001),
                                           _mm512_set1_epi32(0x100000));
    _mm512_storeu_si512(b + r * stride + 2 * c,
                        _mm512_permutexvar_epi16(order, reinterpret_cast<__m512i>(both)));
  }
};

}  // namespace cajal::ops::attention_kernels
