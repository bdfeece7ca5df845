#include "train/checkpoint_verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace cajal::train {
namespace {

using ::testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

StateHealth good() {
  return {.loss = 2.5, .steps_lately = 50, .validation_loss = 2.6, .vocab = 300};
}

std::string refusal(const StateHealth& health) { return why_not_keep(health).value_or("kept"); }

TEST(CheckpointVerdict, KeepsWhatTrains) {
  EXPECT_EQ(refusal(good()), "kept");
  StateHealth some_skipped = good();
  some_skipped.skipped_lately = 25;
  EXPECT_EQ(refusal(some_skipped), "kept");
}

TEST(CheckpointVerdict, KeepsAModelThatHasLearntItsTextByHeart) {
  StateHealth overfitted = good();
  overfitted.loss = 0.01;
  overfitted.validation_loss = 9.6;
  EXPECT_EQ(refusal(overfitted), "kept");
}

TEST(CheckpointVerdict, KeepsAModelThatHasJustBegun) {
  StateHealth fresh = good();
  fresh.loss = fresh.validation_loss = 6.1;  // ln 300 is 5.70
  EXPECT_EQ(refusal(fresh), "kept");
}

TEST(CheckpointVerdict, RefusesLossesThatAreNotFinite) {
  for (const double bad : {kNan, kInfinity, -kInfinity}) {
    StateHealth step = good();
    step.loss = bad;
    EXPECT_EQ(refusal(step), "its loss is not finite");
    StateHealth held_out = good();
    held_out.validation_loss = bad;
    EXPECT_EQ(refusal(held_out), "its validation loss is not finite");
  }
}

TEST(CheckpointVerdict, RefusesAStateAmidSkippedUpdates) {
  StateHealth amid = good();
  amid.skipped_in_row = 9;
  amid.skipped_lately = 9;
  EXPECT_THAT(refusal(amid), HasSubstr("last 9 updates were skipped"));
  StateHealth mostly = good();
  mostly.skipped_lately = 26;
  EXPECT_THAT(refusal(mostly), HasSubstr("26 of the last 50 updates"));
}

TEST(CheckpointVerdict, RefusesWhatIsWorseThanAGuess) {
  StateHealth lost = good();
  lost.loss = 6.8;
  EXPECT_THAT(refusal(lost), HasSubstr("guessing has 5.704"));
}

}  // namespace
}  // namespace cajal::train
