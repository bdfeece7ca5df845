// What a training run prints, to a file and to a terminal.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <stdlib.h>
#include <unistd.h>

#include <regex>

#include "cajal/error.h"
#include "cli/runner.h"

namespace cajal::cli::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(TrainOutput, OneLineAStepWhenPiped) {
  Script script;
  script.steps = 25;
  const Outcome outcome = run_cajal({"train"}, scripted_engine(script));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const std::regex step_line(
      "step ([0-9]+)/25 loss [0-9.]+ grad_norm [0-9.e+-]+ lr [0-9.e+-]+ tokens/s 12345 device_busy "
      "0.987 "
      "host_waits 1 blocked_ms 0.00");
  int steps = 0;
  for (const std::string& line : lines_of(outcome.out))
    steps += std::regex_match(line, step_line) ? 1 : 0;
  EXPECT_EQ(steps, 25);
  EXPECT_THAT(outcome.out, Not(HasSubstr("\x1b")));
  EXPECT_THAT(outcome.out, Not(HasSubstr("\r")));
}

TEST(TrainOutput, SummaryTellsWhatHasBeenLearnt) {
  Script script;
  const Outcome outcome = run_cajal({"train", "--out", "runs/it is"}, scripted_engine(script));
  EXPECT_THAT(outcome.out, HasSubstr("training loss       7.5000    2.5000"));
  EXPECT_THAT(outcome.out, HasSubstr("validation loss     7.4000    4.5000"));
  EXPECT_THAT(outcome.out, HasSubstr("5.2500"));
  EXPECT_THAT(outcome.out, HasSubstr("98.7 %"));
  EXPECT_THAT(outcome.out, HasSubstr("1.000 a step"));
  EXPECT_THAT(outcome.out, HasSubstr("2.00 ms blocked"));
  EXPECT_THAT(outcome.out,
              HasSubstr("next: cajal generate 'runs/it is' --prompt 'template <class T>'"));
}

// What stands between two erasures is one drawing of the live line.
std::vector<std::string> drawings(const std::string& sent) {
  std::vector<std::string> found;
  const std::regex drawing("\r([^\r\n]+)\x1b\\[J\r");
  for (std::sregex_iterator at(sent.begin(), sent.end(), drawing), end; at != end; ++at) {
    found.push_back(std::regex_replace((*at)[1].str(), std::regex("\x1b\\[[0-9;]*m"), ""));
  }
  return found;
}

TEST(TrainOutput, ALiveLineThatFitsOnATerminal) {
  if (!have_terminals()) GTEST_SKIP() << "this system hands out no pseudo-terminals";
  for (const int columns : {20, 40, 80, 200}) {
    Script script;
    script.steps = 100;
    const Outcome outcome = run_cajal_on_terminal({"train"}, scripted_engine(script), columns);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const auto drawn = drawings(outcome.out);
    ASSERT_FALSE(drawn.empty());
    for (const std::string& line : drawn)
      EXPECT_LT(line.size(), static_cast<std::size_t>(columns)) << line;
    EXPECT_THAT(outcome.out, Not(HasSubstr("grad_norm")));
    EXPECT_THAT(outcome.out, HasSubstr("next: cajal generate"));
  }
}

TEST(TrainOutput, NoColorIsRespected) {
  if (!have_terminals()) GTEST_SKIP() << "this system hands out no pseudo-terminals";
  Script script;
  script.steps = 100;
  ::setenv("NO_COLOR", "1", 1);
  const std::string plain = run_cajal_on_terminal({"train"}, scripted_engine(script), 100).out;
  ::unsetenv("NO_COLOR");
  const std::string colored = run_cajal_on_terminal({"train"}, scripted_engine(script), 100).out;
  EXPECT_THAT(plain, Not(HasSubstr("\x1b[32m")));
  EXPECT_THAT(colored, HasSubstr("\x1b[32m"));
}

TEST(TrainOutput, AFailureTakesTheLiveLineAwayFirst) {
  if (!have_terminals()) GTEST_SKIP() << "this system hands out no pseudo-terminals";
  Engine engine;
  engine.train = [](const auto&, train::TrainObserver& observer,
                    const auto&) -> train::TrainSummary {
    observer.on_stage("encoding", 0.3);
    throw Error("it broke", "mend it");
  };
  const Outcome outcome = run_cajal_on_terminal({"train"}, engine, 80);
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.err, "cajal: error: it broke; mend it\n");
  EXPECT_TRUE(outcome.out.ends_with("\x1b[J\r")) << outcome.out;
}

TEST(TrainOutput, WarningsOfTheLibrariesGoToStandardError) {
  Engine engine;
  engine.train = [](const auto&, const auto&, const auto&) {
    spdlog::warn("skipped 2 files");
    return train::TrainSummary{};
  };
  const Outcome outcome = run_cajal({"train"}, engine);
  EXPECT_TRUE(outcome.err.starts_with("cajal: warning: skipped 2 files\n")) << outcome.err;
  EXPECT_THAT(outcome.out, Not(HasSubstr("skipped 2")));
}

TEST(TrainOutput, ARunWithNothingLeftToDoSaysSo) {
  Engine engine;
  engine.train = [](const auto&, const auto&, const auto&) {
    train::TrainSummary summary;
    summary.last_step = 12;
    return summary;
  };
  const Outcome outcome = run_cajal({"train", "--resume"}, engine);
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("already has 12 steps; a larger --steps"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("0.0000")));
}

TEST(TrainOutput, AClosedPipeStopsTheRunQuietly) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  bool stopped = false;
  Engine engine;
  engine.train = [&](const auto&, train::TrainObserver& observer, const std::atomic<bool>& stop) {
    observer.on_step({});
    stopped = stop;
    return train::TrainSummary{};
  };
  const char* arguments[] = {"cajal", "train"};
  const int null = ::open("/dev/null", O_WRONLY);
  EXPECT_EQ(run(arguments, engine, {ends[1], null}), 141);
  EXPECT_TRUE(stopped);
  ::close(ends[1]);
  ::close(null);
}

TEST(TrainOutput, AFullDiskIsAFailure) {
  const int full = ::open("/dev/full", O_WRONLY);
  if (full < 0) GTEST_SKIP() << "no /dev/full";
  Script script;
  const Engine engine = scripted_engine(script);
  const char* arguments[] = {"cajal", "train"};
  const int null = ::open("/dev/null", O_WRONLY);
  EXPECT_EQ(run(arguments, engine, {full, null}), 1);
  ::close(full);
  ::close(null);
}

}  // namespace
}  // namespace cajal::cli::testing
