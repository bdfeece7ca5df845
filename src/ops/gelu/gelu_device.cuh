// GELU's tanh form and its derivative on a CUDA device; gelu_math.h has the formulas.
#pragma once

namespace cajal::ops::cuda_backend {

inline constexpr float kGeluScale = 1.59576912F;  // 2 sqrt(2/pi)
inline constexpr float kGeluCubic = 0.044715F;

/// Exponential and quotient: to a few units in the last place of f32, or of what bf16 can show.
struct FullPrecision {
  __device__ static float exp(float x) { return expf(x); }
  __device__ static float divide(float a, float b) { return a / b; }
};
struct ForBf16 {
  __device__ static float exp(float x) { return __expf(x); }
  __device__ static float divide(float a, float b) { return __fdividef(a, b); }
};

template <class Precision>
__device__ float gelu_value(float x) {
  const float u = kGeluScale * (x + kGeluCubic * x * x * x);
  return Precision::divide(x, 1.0F + Precision::exp(-u));
}

/// Beyond |x| = 10 it is 0 or 1 to f32 precision; taken at 10 so that no square overflows.
template <class Precision>
__device__ float gelu_slope(float x) {
  float t = x > 10.0F ? 10.0F : x;
  t = t < -10.0F ? -10.0F : t;
  const float u = kGeluScale * (t + kGeluCubic * t * t * t);
  const float e = Precision::exp(-u);
  const float s = Precision::divide(1.0F, 1.0F + e);
  return s + t * s * (e * s) * (kGeluScale * (1.0F + 3.0F * kGeluCubic * t * t));
}

}  // namespace cajal::ops::cuda_backend
