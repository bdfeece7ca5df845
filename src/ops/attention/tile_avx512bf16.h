// Products of bf16 blocks by AVX512-BF16 dot products. Included only where the target has them.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "ops/attention/bf16_operands.h"
#include "ops/attention/product.h"

namespace cajal::ops::attention_kernels {

/// m and n are multiples of 16, k of 2.
struct TileAvx512Bf16 : Bf16Operands {
  struct Session {
    Session() {}
  };

  template <bool kAccumulate>
  static void multiply(const Product<bfloat16>& p) {
    int j = 0;
    for (; j + 32 <= p.n; j += 32) panel<2, kAccumulate>(p, j);
    for (; j < p.n; j += 16) panel<1, kAccumulate>(p, j);
  }

 private:
  static constexpr int kRows = 8;

  template <int kVectors, bool kAccumulate>
  static void panel(const Product<bfloat16>& p, int j) {
    for (int i = 0; i < p.m; i += kRows) {
      tile<kVectors, kAccumulate>(p.k, p.a + std::int64_t{i} * p.a_stride, p.a_stride,
                                  p.b + std::int64_t{2} * j, 2 * std::int64_t{p.b_stride},
                                  p.c + std::int64_t{i} * p.c_stride + j, p.c_stride);
    }
  }

  [[gnu::always_inline]] static __m512bh pair(const bfloat16* from) {
    std::int32_t both;
    std::memcpy(&both, from, sizeof both);
    return reinterpret_cast<__m512bh>(_mm512_set1_epi32(both));
  }

  template <int kVectors, bool kAccumulate>
  [[gnu::always_inline]] static void tile(int depth, const bfloat16* a, std::int64_t a_stride,
                                          const bfloat16* b, std::int64_t b_stride, float* c,
                                          std::int64_t c_stride) {
    __m512 sum[kRows][kVectors];
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVectors; ++v) {
        sum[r][v] = kAccumulate ? _mm512_loadu_ps(c + r * c_stride + v * 16) : _mm512_setzero_ps();
      }
    }
    for (int d = 0; d < depth; d += 2) {
      __m512bh row[kVectors];
      for (int v = 0; v < kVectors; ++v) {
        row[v] = load<__m512bh>(b + d / 2 * b_stride + v * 32);
      }
      for (int r = 0; r < kRows; ++r) {
        const __m512bh left = pair(a + r * a_stride + d);
        for (int v = 0; v < kVectors; ++v) sum[r][v] = _mm512_dpbf16_ps(sum[r][v], left, row[v]);
      }
    }
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVectors; ++v) _mm512_storeu_ps(c + r * c_stride + v * 16, sum[r][v]);
    }
  }
};

}  // namespace cajal::ops::attention_kernels
