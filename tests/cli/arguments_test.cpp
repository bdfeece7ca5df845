// What the command line takes, and what it says to what it does not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cajal/error.h"
#include "cli/runner.h"
#include "cli/suggest.h"

namespace cajal::cli::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Wrong {
  std::vector<std::string> arguments;
  std::string names;   ///< The message names this,
  std::string remedy;  ///< and says this.
};

/// How GoogleTest and ctest name the case.
void PrintTo(const Wrong& wrong, std::ostream* stream) {
  std::ostream& os = *stream;
  for (const auto& argument : wrong.arguments) os << argument << ' ';
}

class WrongArguments : public ::testing::TestWithParam<Wrong> {};

TEST_P(WrongArguments, GetOneLineAndCodeTwo) {
  Script script;
  const Outcome outcome = run_cajal(GetParam().arguments, scripted_engine(script));
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.out, "");
  ASSERT_EQ(lines_of(outcome.err).size(), 1U) << outcome.err;
  EXPECT_THAT(outcome.err, StartsWith("cajal: error: "));
  EXPECT_THAT(outcome.err, HasSubstr(GetParam().names));
  EXPECT_THAT(outcome.err, HasSubstr(GetParam().remedy));
  EXPECT_THAT(outcome.err, HasSubstr("; "));
  EXPECT_EQ(script.calls, 0);
}

INSTANTIATE_TEST_SUITE_P(
    Everywhere, WrongArguments,
    ::testing::Values(Wrong{{}, "no command", "train, generate, bench, info, check"},
                      Wrong{{"trian"}, "'trian'", "did you mean train?"},
                      Wrong{{"--verson"}, "--verson", "did you mean --version?"},
                      Wrong{{"chekc"}, "'chekc'", "did you mean check?"},
                      Wrong{{"check"}, "a directory", "cajal check"},
                      Wrong{{"check", "/nowhere"}, "/nowhere", "give a run"},
                      Wrong{{"check", "--verbsoe"}, "--verbsoe", "did you mean --verbose?"},
                      Wrong{{"info", "more"}, "'more'", "remove it"},
                      Wrong{{"info", "--jsno"}, "--jsno", "--json"},
                      Wrong{{"train", "--btach", "3"}, "--btach", "did you mean --batch?"},
                      Wrong{{"train", "--btach=3"}, "--btach", "did you mean --batch?"},
                      Wrong{{"train", "--zzzzzzzz"}, "--zzzzzzzz", "--help"}));

INSTANTIATE_TEST_SUITE_P(
    TrainValues, WrongArguments,
    ::testing::Values(
        Wrong{{"train", "--batch"}, "--batch", "needs a value"},
        Wrong{{"train", "--batch", "0"}, "--batch", "from 1"},
        Wrong{{"train", "--batch", "-3"}, "--batch", "from 1"},
        Wrong{{"train", "--batch", "2.5"}, "'2.5'", "whole number"},
        Wrong{{"train", "--batch", "8x"}, "'8x'", "whole number"},
        Wrong{{"train", "--batch", ""}, "--batch", "whole number"},
        Wrong{{"train", "--batch", "99999999999999999999"}, "--batch", "whole number"},
        Wrong{{"train", "--seq", "0"}, "--seq", "from 1"},
        Wrong{{"train", "--accumulate", "0"}, "--accumulate", "from 1"},
        Wrong{{"train", "--steps", "0"}, "--steps", "at least 1"},
        Wrong{{"train", "--minutes", "0"}, "--minutes", "over 0"},
        Wrong{{"train", "--minutes", "nan"}, "--minutes", "a number"},
        Wrong{{"train", "--minutes", "inf"}, "--minutes", "a number"},
        Wrong{{"train", "--steps", "5", "--minutes", "1"}, "--minutes", "only one"},
        Wrong{{"train", "--lr", "0"}, "--lr", "over 0"},
        Wrong{{"train", "--lr", "-1e-3"}, "--lr", "over 0"},
        Wrong{{"train", "--lr", "1e-3x"}, "'1e-3x'", "a number"},
        Wrong{{"train", "--lr", "0x1p-3"}, "'0x1p-3'", "a number"},
        Wrong{{"train", "--lr", "1e99"}, "--lr", "a number"},
        Wrong{{"train", "--schedule", "cosin"}, "--schedule", "did you mean cosine?"},
        Wrong{{"train", "--schedule", "step"}, "--schedule", "constant, cosine, linear, wsd"},
        Wrong{{"train", "--warmup", "-1"}, "--warmup", "at least 0"},
        Wrong{{"train", "--clip", "-1"}, "--clip", "at least 0"},
        Wrong{{"train", "--weight-decay", "-0.1"}, "--weight-decay", "at least 0"},
        Wrong{{"train", "--dropout", "1"}, "--dropout", "under 1"},
        Wrong{{"train", "--dropout", "-0.1"}, "--dropout", "at least 0"},
        Wrong{{"train", "--vocab-size", "256"}, "--vocab-size", "from 257 to 65536"},
        Wrong{{"train", "--vocab-size", "65537"}, "--vocab-size", "from 257 to 65536"},
        Wrong{{"train", "--eval-every", "-1"}, "--eval-every", "at least 0"},
        Wrong{{"train", "--save-every", "often"}, "--save-every", "whole number"},
        Wrong{{"train", "--seed", "-1"}, "--seed", "at least 0"},
        Wrong{{"train", "--threads", "-1"}, "--threads", "from 0"},
        Wrong{{"train", "--max-in-flight", "0"}, "--max-in-flight", "from 1"},
        Wrong{{"train", "--dtype", "fp16"}, "--dtype", "fp32, bf16"},
        Wrong{{"train", "--sync", "every_op"}, "--sync", "did you mean every-op?"},
        Wrong{{"train", "--preset", "tniy"}, "--preset", "did you mean tiny?"},
        Wrong{{"train", "--preset", "gpt5"}, "--preset", "cajal-20m"},
        Wrong{{"train", "--preset", "tiny", "--init", "x"}, "--init", "only one"},
        Wrong{{"train", "--resume", "--init", "x"}, "--init", "only one"},
        Wrong{{"train", "--out", ""}, "--out", "give it a value"},
        Wrong{{"train", "--device", ""}, "--device", "give it a value"},
        Wrong{{"train", "--config", "/nonexistent.toml"}, "/nonexistent.toml", "TOML"},
        Wrong{{"train", "--config", "/"}, "is a directory", "TOML"}));

INSTANTIATE_TEST_SUITE_P(
    OtherCommands, WrongArguments,
    ::testing::Values(
        Wrong{{"generate"}, "generate", "cajal generate runs/cajal"},
        Wrong{{"generate", "/"}, "--prompt", "cajal generate runs/cajal"},
        Wrong{{"generate", "/nonexistent", "--prompt", "x"}, "/nonexistent", "--out"},
        Wrong{{"generate", "/", "more", "--prompt", "x"}, "'more'", "remove it"},
        Wrong{
            {"generate", "/", "--prompt", "x", "--max-tokens", "0"}, "--max-tokens", "at least 1"},
        Wrong{{"generate", "/", "--prompt", "x", "--temperature", "-1"},
              "--temperature",
              "at least 0"},
        Wrong{{"generate", "/", "--prompt", "x", "--top-k", "-1"}, "--top-k", "from 0"},
        Wrong{{"generate", "/", "--prompt", "x", "--top-p", "0"}, "--top-p", "over 0"},
        Wrong{{"generate", "/", "--prompt", "x", "--top-p", "1.1"}, "--top-p", "at most 1"},
        Wrong{{"bench", "--steps", "0"}, "--steps", "from 1"},
        Wrong{{"bench", "--blocks", "0"}, "--blocks", "from 1"},
        Wrong{{"bench", "--preset", "huge"}, "--preset", "tiny"},
        Wrong{{"bench", "--json=maybe"}, "--json", "--help"}));

TEST(Arguments, OfTrainReachTheEngine) {
  Script script;
  const Outcome outcome = run_cajal({"train",
                                     "a.txt",
                                     "b",
                                     "--preset",
                                     "cajal-20m",
                                     "--dtype",
                                     "bf16",
                                     "--batch",
                                     "4",
                                     "--seq",
                                     "256",
                                     "--accumulate",
                                     "2",
                                     "--steps",
                                     "1000",
                                     "--lr",
                                     "1e-3",
                                     "--schedule",
                                     "wsd",
                                     "--warmup",
                                     "10",
                                     "--clip",
                                     "0.5",
                                     "--weight-decay",
                                     "0.2",
                                     "--dropout",
                                     "0.1",
                                     "--vocab-size",
                                     "1000",
                                     "--eval-every",
                                     "7",
                                     "--save-every",
                                     "0",
                                     "--out",
                                     "here",
                                     "--resume",
                                     "--seed",
                                     "42",
                                     "--threads",
                                     "1",
                                     "--sync",
                                     "every-op",
                                     "--max-in-flight",
                                     "3",
                                     "--trace",
                                     "t.json"},
                                    scripted_engine(script));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const train::TrainOptions& got = script.train;
  EXPECT_THAT(got.data, ElementsAre("a.txt", "b"));
  EXPECT_EQ(got.preset, "cajal-20m");
  EXPECT_EQ(got.dtype, DType::bf16);
  EXPECT_EQ(got.batch, 4);
  EXPECT_EQ(got.seq, 256);
  EXPECT_EQ(got.accumulate, 2);
  EXPECT_EQ(got.steps, 1000);
  EXPECT_FALSE(got.minutes.has_value());
  EXPECT_FLOAT_EQ(got.learning_rate.value_or(0), 1e-3F);
  EXPECT_EQ(got.schedule, train::ScheduleKind::wsd);
  EXPECT_EQ(got.warmup, 10);
  EXPECT_FLOAT_EQ(got.clip.value_or(0), 0.5F);
  EXPECT_FLOAT_EQ(got.weight_decay.value_or(0), 0.2F);
  EXPECT_FLOAT_EQ(got.dropout.value_or(0), 0.1F);
  EXPECT_EQ(got.vocab_size, 1000);
  EXPECT_EQ(got.eval_every, 7);
  EXPECT_EQ(got.save_every, 0);
  EXPECT_EQ(got.out, "here");
  EXPECT_TRUE(got.resume);
  EXPECT_EQ(got.seed, 42U);
  EXPECT_EQ(got.threads, 1);
  EXPECT_EQ(got.sync, SyncMode::every_op);
  EXPECT_EQ(got.max_in_flight, 3);
  EXPECT_EQ(got.trace, "t.json");
}

TEST(Arguments, LeftOutAreAbsent) {
  Script script;
  ASSERT_EQ(run_cajal({"train"}, scripted_engine(script)).code, 0);
  const train::TrainOptions& got = script.train;
  EXPECT_TRUE(got.data.empty());
  EXPECT_FALSE(got.preset || got.dtype || got.batch || got.seq || got.steps || got.minutes);
  EXPECT_FALSE(got.learning_rate || got.schedule || got.warmup || got.clip || got.seed);
}

TEST(Arguments, GivenTwiceTheLastWins) {
  Script script;
  ASSERT_EQ(run_cajal({"train", "--batch", "1", "--batch=6"}, scripted_engine(script)).code, 0);
  EXPECT_EQ(script.train.batch, 6);
}

TEST(Arguments, OfGenerateReachTheEngineAndTheTextIsStreamed) {
  Script script;
  const Outcome outcome =
      run_cajal({"generate", "/", "--prompt", "bread", "--max-tokens", "9", "--temperature", "0",
                 "--top-k", "5", "--top-p", "0.5", "--seed", "3"},
                scripted_engine(script));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "bread and more\n");
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(script.generate.directory, "/");
  EXPECT_EQ(script.generate.prompt, "bread");
  EXPECT_EQ(script.generate.max_tokens, 9);
  EXPECT_EQ(script.generate.sampling.temperature, 0.0F);
  EXPECT_EQ(script.generate.sampling.top_k, 5);
  EXPECT_EQ(script.generate.sampling.top_p, 0.5F);
  EXPECT_EQ(script.generate.seed, 3U);
}

TEST(Arguments, MoreThreadsThanCoresIsAWarning) {
  Script script;
  const Outcome outcome = run_cajal({"train", "--threads", "4096"}, scripted_engine(script));
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.err, StartsWith("cajal: warning: --threads 4096"));
}

TEST(Failures, OfTheEngineBecomeOneLineAndACode) {
  const auto with = [](auto thrown) {
    Engine engine;
    engine.train = [thrown](const auto&, auto&, const auto&) -> train::TrainSummary {
      throw thrown;
    };
    return run_cajal({"train"}, engine);
  };
  const Outcome failed = with(Error("disk full\nvery", "free some"));
  EXPECT_EQ(failed.code, 1);
  EXPECT_EQ(failed.err, "cajal: error: disk full\\nvery; free some\n");
  EXPECT_EQ(with(InvalidArgument("no text", "give some")).code, 2);
  EXPECT_EQ(with(std::bad_alloc()).code, 1);
  EXPECT_THAT(with(std::bad_alloc()).err, HasSubstr("out of memory; take a smaller --batch"));
  EXPECT_EQ(with(42).code, 1);
  EXPECT_EQ(lines_of(with(42).err).size(), 1U);
}

class Help : public ::testing::TestWithParam<std::vector<std::string>> {};

TEST_P(Help, FitsEightyColumns) {
  Script script;
  const Outcome outcome = run_cajal(GetParam(), scripted_engine(script));
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_THAT(outcome.out, HasSubstr("Usage: cajal"));
  for (const std::string& line : lines_of(outcome.out)) EXPECT_LE(line.size(), 79U) << line;
}

INSTANTIATE_TEST_SUITE_P(EveryCommand, Help,
                         ::testing::Values(std::vector<std::string>{"--help"},
                                           std::vector<std::string>{"train", "--help"},
                                           std::vector<std::string>{"generate", "-h"},
                                           std::vector<std::string>{"bench", "--help"},
                                           std::vector<std::string>{"info", "--help"}));

TEST(Version, IsPrinted) {
  Script script;
  const Outcome outcome = run_cajal({"--version"}, scripted_engine(script));
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.out, ::testing::MatchesRegex("cajal [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

TEST(Suggest, NearNamesOnly) {
  const std::vector<std::string> names{"--batch", "--blocks", "--steps"};
  EXPECT_EQ(nearest("--bacth", names), "--batch");
  EXPECT_EQ(nearest("--step", names), "--steps");
  EXPECT_EQ(nearest("--bl", names), "--blocks");
  EXPECT_EQ(nearest("--temperature", names), std::nullopt);
  EXPECT_EQ(nearest("", names), std::nullopt);
}

}  // namespace
}  // namespace cajal::cli::testing
