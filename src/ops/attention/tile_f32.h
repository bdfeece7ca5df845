// Products of blocks in f32, for any target: a register tile of C, broadcasts of A, rows of B.
#pragma once

#include <cstdint>

#include "ops/attention/lanes.h"
#include "ops/attention/product.h"

namespace cajal::ops::attention_kernels {

/// m, n and k are multiples of 16.
struct TileF32 {
  using Element = float;
  static constexpr int kPair = 1;            ///< Consecutive k that one lane of B holds.
  static constexpr int kDepthMultiple = 16;  ///< Head dimensions are padded to this with zeros.

  /// What a thread holds while it multiplies.
  struct Session {
    Session() {}
  };

  /// Part of an operand A.
  [[gnu::always_inline]] static void store_left(float* to, Floats v) { store_lanes(to, v); }

  /// Rows r and r + 1 (r even) of an operand B, from column c.
  [[gnu::always_inline]] static void store_right(float* b, int stride, int r, int c, Floats even,
                                                 Floats odd) {
    store_lanes(b + r * stride + c, even);
    store_lanes(b + (r + 1) * stride + c, odd);
  }

  template <bool kAccumulate>
  static void multiply(const Product<float>& p) {
    int j = 0;
    for (; j + kColumns * kLanes <= p.n; j += kColumns * kLanes) panel<kColumns, kAccumulate>(p, j);
    for (; j < p.n; j += kLanes) panel<1, kAccumulate>(p, j);
  }

 private:
  // 8 x 2 keeps 16 sums in flight, twice what two FMA units of latency 4 need, in 32 registers;
  // AVX2 and SSE have 16 registers, NEON 32 narrow ones.
#if defined(__AVX512F__)
  static constexpr int kRows = 8;
  static constexpr int kColumns = 2;
#elif defined(__aarch64__)
  static constexpr int kRows = 4;
  static constexpr int kColumns = 4;
#else
  static constexpr int kRows = 4;
  static constexpr int kColumns = 2;
#endif

  template <int kVectors, bool kAccumulate>
  static void panel(const Product<float>& p, int j) {
    for (int i = 0; i < p.m; i += kRows) {
      tile<kVectors, kAccumulate>(p.k, p.a + std::int64_t{i} * p.a_stride, p.a_stride, p.b + j,
                                  p.b_stride, p.c + std::int64_t{i} * p.c_stride + j, p.c_stride);
    }
  }

  template <int kVectors, bool kAccumulate>
  [[gnu::always_inline]] static void tile(int depth, const float* __restrict__ a,
                                          std::int64_t a_stride, const float* __restrict__ b,
                                          std::int64_t b_stride, float* __restrict__ c,
                                          std::int64_t c_stride) {
    Floats sum[kRows][kVectors];
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVectors; ++v) {
        sum[r][v] = kAccumulate ? load<Floats>(c + r * c_stride + v * kLanes) : Floats{};
      }
    }
    for (int d = 0; d < depth; ++d) {
      Floats row[kVectors];
      for (int v = 0; v < kVectors; ++v) row[v] = load<Floats>(b + d * b_stride + v * kLanes);
      for (int r = 0; r < kRows; ++r) {
        for (int v = 0; v < kVectors; ++v) sum[r][v] += a[r * a_stride + d] * row[v];
      }
    }
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVectors; ++v) store_lanes(c + r * c_stride + v * kLanes, sum[r][v]);
    }
  }
};

}  // namespace cajal::ops::attention_kernels
