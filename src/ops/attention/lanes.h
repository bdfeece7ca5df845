// One vector register of numbers, in the width that the target has, and what attention does with
// it.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

namespace cajal::ops::attention_kernels {

#if defined(__AVX512F__)
inline constexpr int kLanes = 16;
#elif defined(__AVX__)
inline constexpr int kLanes = 8;
#else
inline constexpr int kLanes = 4;
#endif

using Floats = float __attribute__((vector_size(4 * kLanes)));
using Ints = std::int32_t __attribute__((vector_size(4 * kLanes)));
using Words = std::uint32_t __attribute__((vector_size(4 * kLanes)));

template <class Vector>
[[gnu::always_inline]] inline Vector load(const void* from) {
  Vector v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

template <class Vector>
[[gnu::always_inline]] inline void store_lanes(void* to, Vector v) {
  std::memcpy(static_cast<void*>(to), &v, sizeof v);
}

[[gnu::always_inline]] inline Floats splat(float value) { return value - Floats{}; }

/// 0, 1, 2, ...
[[gnu::always_inline]] inline Ints lane_numbers() {
  Ints lanes{};
  for (int i = 0; i < kLanes; ++i) lanes[i] = i;
  return lanes;
}

/// The larger of each lane; b where either is NaN.
[[gnu::always_inline]] inline Floats larger(Floats a, Floats b) { return a > b ? a : b; }

/// 2^x for x up to 126, to within 2 units in the last place. Below -64 it is 0: beside a largest
/// term of 1 nothing is lost, and no subnormal number slows what follows. NaN stays NaN.
[[gnu::always_inline]] inline Floats exp2_lanes(Floats x) {
  // 1.5 * 2^23 rounds to an integer; 127 more leaves a float's biased exponent in the low bits.
  constexpr float kRound = 12582912.0F + 127.0F;
  constexpr float kLowest = -64.0F;
  const Floats shifted = x + kRound;
  const Floats f = x - (shifted - kRound);
  // Minimax polynomial of 2^f on [-1/2, 1/2].
  Floats p = f * 1.327647198e-3F + 9.675541334e-3F;
  p = p * f + 5.550713274e-2F;
  p = p * f + 2.402211972e-1F;
  p = p * f + 6.931469671e-1F;
  p = p * f + 1.0F;
  const Floats scaled = p * reinterpret_cast<Floats>(reinterpret_cast<Words>(shifted) << 23);
  return x < kLowest ? Floats{} : scaled;
}

namespace detail {

/// a0 b0 a1 b1 ... from the lower halves (offset 0) or the upper halves (offset kLanes / 2).
template <int offset, int... i>
[[gnu::always_inline]] inline Words interleave(Words a, Words b, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(a, b, (i / 2 + offset + i % 2 * kLanes)...);
}

}  // namespace detail

/// Transposes kLanes rows of words. Each perfect shuffle of rows r and r + kLanes/2 moves one bit
/// of the lane's number into the row's, so log2(kLanes) rounds do it.
[[gnu::always_inline]] inline void transpose_square(const std::uint32_t* from, std::int64_t stride,
                                                    std::uint32_t* to, std::int64_t to_stride) {
  using Order = std::make_integer_sequence<int, kLanes>;
  Words rows[kLanes];
  for (int r = 0; r < kLanes; ++r) rows[r] = load<Words>(from + r * stride);
  for (int round = 1; round < kLanes; round *= 2) {
    Words mixed[kLanes];
    for (int r = 0; r < kLanes / 2; ++r) {
      mixed[2 * r] = detail::interleave<0>(rows[r], rows[r + kLanes / 2], Order{});
      mixed[2 * r + 1] = detail::interleave<kLanes / 2>(rows[r], rows[r + kLanes / 2], Order{});
    }
    for (int r = 0; r < kLanes; ++r) rows[r] = mixed[r];
  }
  for (int r = 0; r < kLanes; ++r) store_lanes(to + r * to_stride, rows[r]);
}

/// to[c][r] = from[r][c] for words; rows and columns are multiples of 16.
inline void transpose_words(const std::uint32_t* from, int rows, int columns, std::uint32_t* to) {
  for (int r = 0; r < rows; r += kLanes) {
    for (int c = 0; c < columns; c += kLanes) {
      transpose_square(from + std::int64_t{r} * columns + c, columns,
                       to + std::int64_t{c} * rows + r, rows);
    }
  }
}

}  // namespace cajal::ops::attention_kernels
