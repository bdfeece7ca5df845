// The statistics of dropout, and which masks agree.
#include "ops/dropout/dropout.h"

#include <cmath>
#include <random>

#include "ops/op_fixture.h"

namespace cajal::testing {
namespace {

class Dropout : public OpTest {
 protected:
  std::vector<float> mask(std::uint32_t stream, const std::vector<std::int32_t>& seed, float p) {
    const Tensor x = floats(std::vector<float>(kCount, 1.0F));
    const Tensor y = floats(std::vector<float>(kCount, -1.0F));
    run([&](CommandBuffer& commands) {
      ops::dropout(commands,
                   {.x = x, .y = y, .seed = integers(seed), .stream = stream, .probability = p});
    });
    return read<float>(y);
  }
  static double kept_share(const std::vector<float>& mask) {
    double kept = 0.0;
    for (const float y : mask) kept += y != 0.0F ? 1.0 : 0.0;
    return kept / static_cast<double>(mask.size());
  }
  /// Six standard deviations of the share of `kCount` draws: once in a thousand million runs.
  static double bound(double p) { return 6.0 * std::sqrt(p * (1.0 - p) / kCount); }

  static constexpr std::size_t kCount = 200003;
  std::vector<std::int32_t> seed_{static_cast<std::int32_t>(std::mt19937(run_seed())()), 17};
};

TEST_F(Dropout, KeepsTheStatedShareAndTheMean) {
  for (const float p : {0.1F, 0.5F, 0.9F}) {
    const auto y = mask(3, seed_, p);
    EXPECT_NEAR(kept_share(y), 1.0 - p, bound(p)) << p << " seed " << run_seed();
    for (const float value : y) {
      if (value != 0.0F) {
        ASSERT_FLOAT_EQ(value, 1.0F / (1.0F - p));
      }
    }
  }
}

TEST_F(Dropout, SameStreamAndSeedGiveTheMaskAgain) {
  EXPECT_EQ(mask(3, seed_, 0.5F), mask(3, seed_, 0.5F));
}

TEST_F(Dropout, OtherStreamOrSeedGivesAnIndependentMask) {
  const auto first = mask(3, seed_, 0.5F);
  for (const auto& other : {mask(4, seed_, 0.5F), mask(3, {seed_[0], 18}, 0.5F)}) {
    double equal = 0.0;
    for (std::size_t i = 0; i < kCount; ++i) equal += first[i] == other[i] ? 1.0 : 0.0;
    EXPECT_NEAR(equal / kCount, 0.5, bound(0.5)) << "seed " << run_seed();
  }
}

TEST_F(Dropout, NeighboursAreIndependent) {
  const auto y = mask(3, seed_, 0.5F);
  for (const std::size_t lag : {1U, 4U, 128U}) {
    double equal = 0.0;
    for (std::size_t i = lag; i < kCount; ++i) equal += y[i] == y[i - lag] ? 1.0 : 0.0;
    EXPECT_NEAR(equal / static_cast<double>(kCount - lag), 0.5, bound(0.5)) << lag;
  }
}

}  // namespace
}  // namespace cajal::testing
