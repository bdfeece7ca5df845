#include "train/trainer_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "cajal/error.h"
#include "temporary_directory.h"

namespace cajal::train {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TrainerState example() {
  TrainerState state;
  state.step = 1234;
  state.seed = std::numeric_limits<std::uint64_t>::max();
  state.options = {{"batch", 8}, {"dtype", "fp32"}, {"dropout", 0.1F}};
  state.loader = {.epoch = 3, .window = 77};
  state.optimizer = {.applied = 1230, .skipped = 4, .skipped_in_row = 2};
  state.seconds = 12.3456789;
  state.tokens = 5'000'000'000;
  state.best_validation_loss = 1.1;
  return state;
}

/// What reading `text` complains of; empty when it does not.
std::string problem_with(const std::string& text) {
  try {
    trainer_state_from_json(text, "run/trainer_state.json");
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

std::string changed(const char* pointer, const json& value) {
  json object = json::parse(to_json(example()));
  object[json::json_pointer(pointer)] = value;
  return object.dump();
}

TEST(TrainerState, ComesBackAsItWas) {
  const TemporaryDirectory directory;
  const TrainerState before = example();
  save_trainer_state(before, directory.path());
  const TrainerState after = load_trainer_state(directory.path());
  EXPECT_EQ(after.step, before.step);
  EXPECT_EQ(after.seed, before.seed);
  EXPECT_EQ(after.options, before.options);
  EXPECT_EQ(after.loader.epoch, 3);
  EXPECT_EQ(after.loader.window, 77);
  EXPECT_EQ(after.optimizer.applied, 1230);
  EXPECT_EQ(after.optimizer.skipped, 4);
  EXPECT_EQ(after.optimizer.skipped_in_row, 2);
  EXPECT_EQ(after.seconds, before.seconds);
  EXPECT_EQ(after.tokens, before.tokens);
  EXPECT_EQ(after.best_validation_loss, 1.1);
  EXPECT_EQ(after.last_validation_loss, std::nullopt);
  EXPECT_EQ(to_json(after), to_json(before));
}

TEST(TrainerState, EveryMissingFieldIsNamed) {
  const json whole = json::parse(to_json(example())).flatten();
  for (const auto& [pointer, value] : whole.items()) {
    if (pointer.starts_with("/options/")) continue;
    if (pointer == "/text") continue;  // States of earlier releases have none.
    json object = json::parse(to_json(example()));
    const json::json_pointer field(pointer);
    object.at(field.parent_pointer()).erase(field.back());
    EXPECT_THAT(problem_with(object.dump()),
                AllOf(HasSubstr(field.back() + " is missing"), HasSubstr("run/trainer_state.json")))
        << pointer;
  }
}

TEST(TrainerState, EveryFieldOfAnotherTypeIsNamed) {
  const json whole = json::parse(to_json(example())).flatten();
  for (const auto& [pointer, value] : whole.items()) {
    if (pointer.starts_with("/options/")) continue;
    const json other = value.is_string() ? json(7) : json("text");
    const std::string problem = problem_with(changed(pointer.c_str(), other));
    EXPECT_THAT(problem,
                AllOf(HasSubstr(json::json_pointer(pointer).back() + " is"), Not(HasSubstr("\n"))))
        << pointer;
  }
}

TEST(TrainerState, NumbersOutOfRangeAreNamed) {
  EXPECT_THAT(problem_with(changed("/step", -1)), HasSubstr("step is -1"));
  EXPECT_THAT(problem_with(changed("/step", 1.5)), HasSubstr("step is 1.5"));
  EXPECT_THAT(problem_with(changed("/step", std::numeric_limits<std::uint64_t>::max())),
              HasSubstr("step is 18446744073709551615"));
  EXPECT_THAT(problem_with(changed("/optimizer/applied", std::int64_t{1} << 31)),
              HasSubstr("optimizer.applied is 2147483648"));
  EXPECT_THAT(problem_with(changed("/seconds", -1.0)), HasSubstr("seconds is -1.0"));
  EXPECT_THAT(problem_with(changed("/options", json::array())), HasSubstr("options is no object"));
}

TEST(TrainerState, UnknownFieldsAndFormatsAreRefused) {
  EXPECT_THAT(problem_with(changed("/surprise", 1)), HasSubstr("\"surprise\" is unknown"));
  EXPECT_THAT(problem_with(changed("/loader/a\nb", 1)), HasSubstr("loader.\"a\\nb\" is unknown"));
  EXPECT_THAT(problem_with(changed("/format", 2)), HasSubstr("format is 2"));
}

TEST(TrainerState, ACutFileIsRefusedWhereverItIsCut) {
  const std::string whole = to_json(example());
  for (std::size_t size = 0; size < whole.size() - 1; ++size) {  // The last byte is a newline.
    EXPECT_NE(problem_with(whole.substr(0, size)), "") << size;
  }
  EXPECT_NE(problem_with("[]"), "");
}

TEST(TrainerState, ALossThatIsNotFiniteIsLeftOut) {
  TrainerState state = example();
  state.last_validation_loss = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(trainer_state_from_json(to_json(state), "x").last_validation_loss, std::nullopt);
}

}  // namespace
}  // namespace cajal::train
