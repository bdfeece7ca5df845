// GELU's tanh form and its derivative, for loops that compilers vectorise.
#pragma once

#include <cstdint>

#include "ops/vector_math.h"

namespace cajal::ops {

inline constexpr float kGeluScale = 1.59576912F;  // 2 sqrt(2/pi)
inline constexpr float kGeluCubic = 0.044715F;

/// (1 + tanh(u)) / 2 is the logistic function of 2u, which loses no digits where tanh nears -1.
[[gnu::always_inline]] inline float gelu_value(float x) {
  const float u = kGeluScale * (x + kGeluCubic * x * x * x);
  return x / (1.0F + vector_exp(-u));
}

/// d gelu(x) / dx. Beyond |x| = 10 it is 0 or 1 to f32 precision; taken at 10 so that no square
/// overflows.
[[gnu::always_inline]] inline float gelu_slope(float x) {
  float t = x > 10.0F ? 10.0F : x;
  t = t < -10.0F ? -10.0F : t;
  const float u = kGeluScale * (t + kGeluCubic * t * t * t);
  const float e = vector_exp(-u);
  const float s = 1.0F / (1.0F + e);
  return s + t * s * (e * s) * (kGeluScale * (1.0F + 3.0F * kGeluCubic * t * t));
}

/// y[i] = gelu(x[i]); y may be x.
template <class X, class Y>
void gelu_span(const X* x, Y* y, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) store(y[i], gelu_value(static_cast<float>(x[i])));
}

/// dx[i] = dy[i] * gelu'(x[i]); dx may be dy.
template <class T>
void gelu_backward_span(const T* x, const T* dy, T* dx, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    store(dx[i], static_cast<float>(dy[i]) * gelu_slope(static_cast<float>(x[i])));
  }
}

}  // namespace cajal::ops
