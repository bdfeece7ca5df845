#include "train/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "cajal/error.h"

namespace cajal::train {
namespace {

constexpr float kPeak = 6e-4F;
constexpr float kTolerance = 1e-9F;

Schedule make(ScheduleKind kind, std::int64_t warmup, std::int64_t steps) {
  return {.kind = kind,
          .peak = kPeak,
          .warmup = warmup,
          .steps = steps,
          .floor = 0.1F,
          .decay_share = 0.2F};
}

class EveryKind : public testing::TestWithParam<ScheduleKind> {};

TEST_P(EveryKind, WarmsUpLinearlyAndNeverFromZero) {
  const Schedule schedule = make(GetParam(), 8, 1000);
  for (int step = 0; step < 8; ++step) {
    EXPECT_NEAR(schedule.at(step), kPeak * static_cast<float>(step + 1) / 8.0F, kTolerance) << step;
  }
  EXPECT_EQ(schedule.at(7), kPeak);
}

TEST_P(EveryKind, StartsAtThePeakWithoutWarmUp) {
  EXPECT_EQ(make(GetParam(), 0, 1000).at(0), kPeak);
}

TEST_P(EveryKind, NeverRisesAfterWarmUp) {
  const Schedule schedule = make(GetParam(), 10, 500);
  for (int step = 10; step < 600; ++step) {
    EXPECT_LE(schedule.at(step), schedule.at(step - 1)) << step;
  }
}

TEST_P(EveryKind, EndsAtTheFloorAndStaysThere) {
  const Schedule schedule = make(GetParam(), 10, 500);
  const float end = GetParam() == ScheduleKind::constant ? kPeak : 0.1F * kPeak;
  EXPECT_NEAR(schedule.at(499), end, kTolerance);
  EXPECT_NEAR(schedule.at(500), end, kTolerance);
  EXPECT_NEAR(schedule.at(std::numeric_limits<std::int64_t>::max()), end, kTolerance);
  if (GetParam() != ScheduleKind::constant) {
    EXPECT_GT(schedule.at(498), schedule.at(499));
  }
}

TEST_P(EveryKind, StaysAtThePeakWhenTheTotalIsUnknown) {
  const Schedule schedule = make(GetParam(), 4, 0);
  EXPECT_NEAR(schedule.at(0), kPeak / 4, kTolerance);
  for (const std::int64_t step : {4, 5, 1000, 1000000}) EXPECT_EQ(schedule.at(step), kPeak);
}

TEST_P(EveryKind, IsPositiveAndFiniteHoweverShortTheRun) {
  for (std::int64_t warmup = 0; warmup < 5; ++warmup) {
    for (std::int64_t steps = 0; steps < 5; ++steps) {
      for (std::int64_t step = 0; step < 7; ++step) {
        const float rate = make(GetParam(), warmup, steps).at(step);
        EXPECT_TRUE(std::isfinite(rate) && rate > 0.0F && rate <= kPeak)
            << rate << " warmup " << warmup << " steps " << steps << " step " << step;
      }
    }
  }
}

TEST_P(EveryKind, IsParsedFromItsName) {
  EXPECT_EQ(parse_schedule(name_of(GetParam())), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Schedule, EveryKind,
                         testing::Values(ScheduleKind::constant, ScheduleKind::cosine,
                                         ScheduleKind::linear, ScheduleKind::wsd),
                         [](const auto& kind) { return std::string(name_of(kind.param)); });

TEST(Schedule, CosineFollowsItsFormula) {
  const Schedule schedule = make(ScheduleKind::cosine, 100, 1101);
  for (const int step : {100, 350, 600, 850, 1100}) {
    const double progress = (step - 100) / 1000.0;
    const double expected =
        kPeak * (0.1 + 0.9 * 0.5 * (1.0 + std::cos(std::numbers::pi * progress)));
    EXPECT_NEAR(schedule.at(step), expected, kTolerance) << step;
  }
}

TEST(Schedule, LinearIsHalfWayInTheMiddle) {
  const Schedule schedule = make(ScheduleKind::linear, 0, 101);
  EXPECT_NEAR(schedule.at(50), kPeak * 0.55F, kTolerance);
}

TEST(Schedule, WsdDecaysOnlyInItsLastShare) {
  const Schedule schedule = make(ScheduleKind::wsd, 10, 100);
  for (int step = 9; step < 80; ++step) EXPECT_EQ(schedule.at(step), kPeak) << step;
  EXPECT_LT(schedule.at(80), kPeak);
  EXPECT_NEAR(schedule.at(89), kPeak * 0.55F, kTolerance);
}

TEST(Schedule, AnUnknownNameListsTheKnownOnes) {
  try {
    parse_schedule("Cosine");
    FAIL() << "accepted";
  } catch (const InvalidArgument& error) {
    EXPECT_THAT(error.what(),
                testing::AllOf(testing::HasSubstr("\"Cosine\""),
                               testing::HasSubstr("constant, cosine, linear or wsd")));
  }
}

}  // namespace
}  // namespace cajal::train
