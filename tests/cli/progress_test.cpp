// The progress line at every width.
#include "cli/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <regex>

namespace cajal::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using namespace std::chrono_literals;

std::string without_color(const std::string& line) {
  return std::regex_replace(line, std::regex("\x1b\\[[0-9;]*m"), "");
}

ProgressView usual() {
  return {.step = 1234,
          .steps = 5000,
          .share = 0.2468,
          .loss = 3.14159,
          .tokens_per_s = 12345.0,
          .device_busy = 0.981,
          .host_waits = 1,
          .seconds_left = 751.0};
}

ProgressView wide() {
  return {.step = std::numeric_limits<std::int64_t>::max(),
          .steps = std::numeric_limits<std::int64_t>::max(),
          .share = 7.0,
          .loss = std::numeric_limits<double>::max(),
          .tokens_per_s = 1e300,
          .device_busy = 1e9,
          .host_waits = std::numeric_limits<std::int64_t>::max(),
          .seconds_left = 1e300};
}

ProgressView not_a_number() {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  return {.step = 0,
          .steps = 0,
          .share = kNan,
          .loss = kNan,
          .tokens_per_s = kNan,
          .device_busy = kNan,
          .host_waits = -1,
          .seconds_left = kNan};
}

TEST(Progress, NeverWiderThanAsked) {
  for (const ProgressView& view : {usual(), wide(), not_a_number()}) {
    for (int width = 0; width <= 200; ++width) {
      for (const bool color : {false, true}) {
        const std::string line = without_color(render_progress(view, width, color));
        EXPECT_LE(line.size(), static_cast<std::size_t>(width)) << line;
        EXPECT_THAT(line, Not(HasSubstr("\n")));
        const std::string stage =
            without_color(render_stage("tokenizer", view.share, width, color));
        EXPECT_LE(stage.size(), static_cast<std::size_t>(width)) << stage;
      }
    }
  }
}

TEST(Progress, EightyColumnsShowEverything) {
  EXPECT_EQ(render_progress(usual(), 79, false),
            "[>   ]  step 1234/5000  loss 3.1416  12.3k tok/s  busy 98%  waits 1  left 12:31");
}

TEST(Progress, WhatMattersLeastGoesFirst) {
  EXPECT_THAT(render_progress(usual(), 60, false), Not(HasSubstr("waits")));
  EXPECT_THAT(render_progress(usual(), 60, false), HasSubstr("left 12:31"));
  EXPECT_EQ(render_progress(usual(), 30, false), "step 1234/5000  loss 3.1416");
  EXPECT_EQ(render_progress(usual(), 14, false), "step 1234/5000");
}

TEST(Progress, ColorOnlyWhenAllowed) {
  EXPECT_THAT(render_progress(usual(), 120, false), Not(HasSubstr("\x1b")));
  EXPECT_THAT(render_progress(usual(), 120, true), HasSubstr("\x1b[32m"));
}

TEST(Progress, BarFillsWithTheShare) {
  EXPECT_THAT(render_stage("x", 0.0, 30, false), StartsWith("[                   ]"));
  EXPECT_THAT(render_stage("x", 1.0, 30, false), Not(HasSubstr(">")));
  EXPECT_THAT(render_stage("x", 0.5, 30, false), HasSubstr(" 50%  x"));
}

TEST(Throttle, TenTimesASecond) {
  Throttle throttle;
  const Throttle::Time start{};
  int draws = 0;
  for (auto at = start; at < start + 1s; at += 1ms) draws += throttle.due(at) ? 1 : 0;
  EXPECT_EQ(draws, 10);
}

TEST(Pace, LeavesTheTimeOfTheStepsThatRemain) {
  const Pace::Time start{};
  const Pace pace(start, 100);
  EXPECT_EQ(pace.seconds_left(start + 1s, 100, 200), std::nullopt);
  EXPECT_DOUBLE_EQ(pace.seconds_left(start + 10s, 120, 200).value_or(-1), 40.0);
  EXPECT_DOUBLE_EQ(pace.seconds_left(start + 10s, 300, 200).value_or(-1), 0.0);
}

}  // namespace
}  // namespace cajal::cli
