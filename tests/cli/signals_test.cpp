// SIGINT and SIGTERM: the first asks, the second ends.
#include "cli/signals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>

#include "cajal/error.h"
#include "cli/runner.h"
#include "train/durable_file.h"

namespace cajal::cli::testing {
namespace {

Engine engine_that_gets(int signal, int times, bool& stopped) {
  Engine engine;
  engine.train = [signal, times, &stopped](const auto&, auto&, const std::atomic<bool>& stop) {
    for (int i = 0; i < times; ++i) std::raise(signal);
    stopped = stop;
    train::TrainSummary summary;
    summary.interrupted = stop;
    return summary;
  };
  return engine;
}

TEST(Signals, TheFirstAsksTheRunToStop) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    bool stopped = false;
    const Outcome outcome = run_cajal({"train"}, engine_that_gets(signal, 1, stopped));
    EXPECT_TRUE(stopped);
    EXPECT_EQ(outcome.code, 128 + signal);
    EXPECT_EQ(outcome.err, "");
  }
}

TEST(Signals, AStopBeforeTheFirstStepIsOneLine) {
  for (const int signal : {SIGINT, SIGTERM}) {
    Engine engine;
    engine.train = [signal](const auto&, train::TrainObserver& observer,
                            const auto&) -> train::TrainSummary {
      observer.on_stage("encoding", 0.5);
      std::raise(signal);
      throw train::Interrupted("stopped before the first step; nothing was saved");
    };
    const Outcome outcome = run_cajal({"train"}, engine);
    EXPECT_EQ(outcome.code, 128 + signal);
    EXPECT_EQ(outcome.out, "encoding\n");
    EXPECT_EQ(outcome.err, "cajal: stopped before the first step; nothing was saved\n");
  }
}

TEST(SignalsDeathTest, TheSecondEndsAtOnce) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  bool stopped = false;
  EXPECT_EXIT(run_cajal({"train"}, engine_that_gets(SIGINT, 2, stopped)),
              ::testing::ExitedWithCode(130), "");
  EXPECT_EXIT(run_cajal({"train"}, engine_that_gets(SIGTERM, 2, stopped)),
              ::testing::ExitedWithCode(143), "");
}

TEST(Signals, AFileSizeLimitIsOneLineNotTheEnd) {
  const TemporaryDirectory temporary;
  Engine engine;
  engine.train = [&](const auto&, auto&, const auto&) -> train::TrainSummary {
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    const rlimit tight{10, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &tight);
    std::string problem;
    try {
      train::write_file_atomically(temporary.path() / "model", std::string(100, 'x'));
    } catch (const Error& error) {
      problem = error.what();
    }
    ::setrlimit(RLIMIT_FSIZE, &before);
    throw Error(problem);
  };
  const Outcome outcome = run_cajal({"train"}, engine);
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, ::testing::HasSubstr("raise the file size limit (ulimit -f)"));
  EXPECT_EQ(lines_of(outcome.err).size(), 1U);
}

TEST(Signals, AreRestoredAfterwards) {
  struct sigaction before {};
  struct sigaction after {};
  ASSERT_EQ(::sigaction(SIGINT, nullptr, &before), 0);
  { const SignalTrap trap(nullptr, -1); }
  ASSERT_EQ(::sigaction(SIGINT, nullptr, &after), 0);
  EXPECT_EQ(before.sa_handler, after.sa_handler);
}

TEST(Signals, IgnoredStaysIgnored) {
  const auto before = std::signal(SIGHUP, SIG_IGN);
  {
    const SignalTrap trap(nullptr, -1);
    std::raise(SIGHUP);
    EXPECT_EQ(trap.received(), 0);
    EXPECT_FALSE(trap.stop());
  }
  std::signal(SIGHUP, before);
}

TEST(Signals, OneTrapAtATime) {
  const SignalTrap trap(nullptr, -1);
  EXPECT_THROW(SignalTrap(nullptr, -1), Error);
}

}  // namespace
}  // namespace cajal::cli::testing
