// The accuracy that vector_math.h and gelu_math.h state, and what they do with special values.
#include "ops/vector_math.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "ops/gelu/gelu_math.h"
#include "ops/harness.h"
#include "ops/reference_math.h"

namespace cajal::testing {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// As kernels call it, so that the vectorised code is what is tested.
std::vector<float> exponentials(const std::vector<float>& x) {
  std::vector<float> y(x.size());
#pragma omp simd
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = ops::vector_exp(x[i]);
  return y;
}

double unit_in_last_place(double value) {
  int exponent = 0;
  std::frexp(value, &exponent);
  return std::ldexp(1.0, exponent - 24);
}

TEST(VectorExp, IsWithinOneAndAHalfUnitsInTheLastPlace) {
  SCOPED_TRACE(run_seed());
  std::mt19937_64 generator(run_seed());
  std::uniform_real_distribution<float> anywhere(-86.9F, 88.7228F);
  std::uniform_real_distribution<float> near_zero(-1.0F, 1.0F);
  std::vector<float> x;
  for (int i = 0; i < 500'000; ++i) {
    x.push_back(anywhere(generator));
    x.push_back(near_zero(generator));
  }
  const auto y = exponentials(x);
  double worst = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double want = std::exp(static_cast<double>(x[i]));
    worst = std::max(worst, std::abs(y[i] - want) / unit_in_last_place(want));
  }
  EXPECT_LT(worst, 1.5);
}

TEST(VectorExp, SpecialValues) {
  const auto y =
      exponentials({0.0F, -0.0F, kInfinity, -kInfinity, 89.0F, 3e38F, -88.0F, -3e38F, kNan});
  const std::vector<float> want{1.0F, 1.0F, kInfinity, 0.0F, kInfinity, kInfinity, 0.0F, 0.0F};
  EXPECT_EQ(std::vector<float>(y.begin(), y.end() - 1), want);
  EXPECT_TRUE(std::isnan(y.back()));
}

TEST(VectorStore, RoundsToNearestEven) {
  bfloat16 to;
  ops::store(to, 1.0F + 1.0F / 256.0F);
  EXPECT_EQ(static_cast<float>(to), 1.0F);
  ops::store(to, 1.0F + 3.0F / 256.0F);
  EXPECT_EQ(static_cast<float>(to), 1.0F + 4.0F / 256.0F);
  ops::store(to, std::bit_cast<float>(0x7f800001U));
  EXPECT_TRUE(std::isnan(static_cast<float>(to)));
}

TEST(GeluMath, TailKeepsItsDigits) {
  for (float x = -5.0F; x < -0.5F; x += 0.125F) {
    const double want =
        x / (1.0 + std::exp(-2.0 * std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    EXPECT_NEAR(ops::gelu_value(x) / want, 1.0, 5e-6) << x;
  }
}

TEST(GeluMath, NonFiniteValuesShow) {
  EXPECT_TRUE(std::isnan(ops::gelu_value(kNan)));
  EXPECT_TRUE(std::isnan(ops::gelu_slope(kNan)));
  EXPECT_EQ(ops::gelu_value(kInfinity), kInfinity);
  EXPECT_FALSE(std::isfinite(ops::gelu_value(-kInfinity)));
  EXPECT_EQ(ops::gelu_slope(kInfinity), 1.0F);
}

}  // namespace
}  // namespace cajal::testing
