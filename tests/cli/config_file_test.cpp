// Flags from a TOML file.
#include "cli/config_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/runner.h"

namespace cajal::cli::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Config : public ::testing::Test {
 protected:
  Outcome train_with(const std::string& toml, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"train", "--config", directory_.write("run.toml", toml)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_cajal(arguments, scripted_engine(script_));
  }

  TemporaryDirectory directory_;
  Script script_;
};

TEST_F(Config, SetsEveryKindOfFlag) {
  const Outcome outcome = train_with(
      "data = ['a.txt', 'b']\nsteps = 12\nlr = 2e-3\nclip = 1\npreset = 'cajal-20m'\nresume = "
      "true\n");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(script_.train.data, ElementsAre("a.txt", "b"));
  EXPECT_EQ(script_.train.steps, 12);
  EXPECT_FLOAT_EQ(script_.train.learning_rate.value_or(0), 2e-3F);
  EXPECT_EQ(script_.train.clip, 1.0F);
  EXPECT_EQ(script_.train.preset, "cajal-20m");
  EXPECT_TRUE(script_.train.resume);
}

TEST_F(Config, FalseLeavesABooleanOff) {
  ASSERT_EQ(train_with("resume = false\n").code, 0);
  EXPECT_FALSE(script_.train.resume);
}

TEST_F(Config, TheCommandLineWins) {
  ASSERT_EQ(train_with("steps = 12\nbatch = 3\n", {"--steps", "99"}).code, 0);
  EXPECT_EQ(script_.train.steps, 99);
  EXPECT_EQ(script_.train.batch, 3);
}

TEST_F(Config, TheCommandLineOverrulesWhatItsFlagExcludes) {
  ASSERT_EQ(train_with("steps = 12\n", {"--minutes", "2"}).code, 0);
  EXPECT_FALSE(script_.train.steps.has_value());
  EXPECT_EQ(script_.train.minutes, 2.0);
}

struct Broken {
  std::string toml;
  std::string where;  ///< After the file's name.
  std::string says;
};

/// How GoogleTest and ctest name the case.
void PrintTo(const Broken& broken, std::ostream* stream) {
  std::ostream& os = *stream;
  os << broken.toml;
}

class BrokenConfig : public Config, public ::testing::WithParamInterface<Broken> {};

TEST_P(BrokenConfig, NamesFileAndLine) {
  const Outcome outcome = train_with(GetParam().toml);
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(lines_of(outcome.err).size(), 1U) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("run.toml:" + GetParam().where + ": "));
  EXPECT_THAT(outcome.err, HasSubstr(GetParam().says));
  EXPECT_EQ(script_.calls, 0);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, BrokenConfig,
    ::testing::Values(Broken{"\nstps = 3\n", "2", "did you mean steps?"},
                      Broken{"steps = '3'\n", "1", "whole number without quotes"},
                      Broken{"steps = 3.5\n", "1", "whole number"},
                      Broken{"steps = true\n", "1", "whole number"},
                      Broken{"lr = 'fast'\n", "1", "a number without quotes"},
                      Broken{"preset = 3\n", "1", "a text in quotes"},
                      Broken{"resume = 'yes'\n", "1", "true or false"},
                      Broken{"data = [1, 2]\n", "1", "a number, a text"},
                      Broken{"batch = 2\nlr = -1.0\n", "2", "--lr"},
                      Broken{"schedule = 'cosin'\n", "1", "did you mean cosine?"},
                      Broken{"steps = 3\nminutes = 1\n", "2", "'minutes' does not go with 'steps'"},
                      Broken{"resume = true\ninit = 'x'\n", "2", "remove one"},
                      Broken{"[train]\nsteps = 3\n", "1", "'train'"},
                      Broken{"seed = 1979-05-27\n", "1", "'seed'"},
                      Broken{"config = 'other.toml'\n", "1", "unknown key 'config'"},
                      Broken{"steps = \n", "1", "TOML"},
                      Broken{"steps = 1\nsteps = 2\n", "2", "TOML"}));

TEST(ParseConfig, KeepsTheOrderOfLines) {
  const auto entries = parse_config("zebra = 1\napple = 'x'\n", "f");
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].key, "zebra");
  EXPECT_EQ(entries[1].key, "apple");
  EXPECT_EQ(entries[1].line, 2);
}

}  // namespace
}  // namespace cajal::cli::testing
