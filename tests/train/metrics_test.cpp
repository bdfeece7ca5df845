#include "train/metrics.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <vector>

#include "cajal/error.h"
#include "temporary_directory.h"

namespace cajal::train {
namespace {

using nlohmann::json;

std::vector<json> lines_of(const std::filesystem::path& file) {
  std::istringstream in(contents_of(file));
  std::vector<json> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(json::parse(line));
  return lines;
}

std::vector<std::int64_t> steps_of(const std::filesystem::path& file) {
  std::vector<std::int64_t> steps;
  for (const json& line : lines_of(file)) steps.push_back(line.at("step"));
  return steps;
}

StepReport report(std::int64_t step) { return {.step = step, .loss = 2.5}; }

TEST(MetricsLog, WritesEveryFieldInOrder) {
  const TemporaryDirectory directory;
  MetricsLog log(directory / "metrics.jsonl", 0);
  log.write(StepReport{.step = 7,
                       .loss = 3.25,
                       .grad_norm = 0.5,
                       .learning_rate = 0.125,
                       .tokens_per_s = 1000,
                       .device_busy = 0.75,
                       .host_waits = 1,
                       .host_blocked_ms = 1.5,
                       .skipped = 2});
  log.write(EvalReport{.step = 7, .loss = 3.5});
  log.sync();
  EXPECT_EQ(contents_of(directory / "metrics.jsonl"),
            R"({"step":7,"loss":3.25,"grad_norm":0.5,"lr":0.125,"tokens_per_s":1000.0,)"
            R"("device_busy":0.75,"host_waits":1,"host_blocked_ms":1.5,"skipped":2})"
            "\n"
            R"({"step":7,"val_loss":3.5})"
            "\n");
}

TEST(MetricsLog, NumbersThatAreNotFiniteBecomeNull) {
  const TemporaryDirectory directory;
  MetricsLog log(directory / "metrics.jsonl", 0);
  log.write(StepReport{.step = 1,
                       .loss = std::numeric_limits<double>::quiet_NaN(),
                       .grad_norm = std::numeric_limits<double>::infinity()});
  const json line = lines_of(directory / "metrics.jsonl").at(0);
  EXPECT_TRUE(line.at("loss").is_null());
  EXPECT_TRUE(line.at("grad_norm").is_null());
  EXPECT_EQ(line.at("lr"), 0.0);
}

TEST(MetricsLog, ResumeKeepsEachStepOnce) {
  const TemporaryDirectory directory;
  const auto file = directory / "metrics.jsonl";
  {
    MetricsLog log(file, 0);
    for (int step = 1; step <= 5; ++step) log.write(report(step));
    log.write(EvalReport{.step = 4, .loss = 1.0});  // Late, but not lost.
    log.write(EvalReport{.step = 5, .loss = 1.0});
  }
  MetricsLog log(file, 4);
  EXPECT_EQ(steps_of(file), (std::vector<std::int64_t>{1, 2, 3, 4, 4}));
  log.write(report(5));
  EXPECT_EQ(steps_of(file), (std::vector<std::int64_t>{1, 2, 3, 4, 4, 5}));
}

TEST(MetricsLog, ResumeDropsALineCutAnywhere) {
  const TemporaryDirectory directory;
  const auto file = directory / "metrics.jsonl";
  MetricsLog(file, 0).write(report(1));
  const std::string first = contents_of(file);
  for (std::size_t cut = 0; cut < first.size(); ++cut) {
    put(file, first + first.substr(0, cut));
    MetricsLog log(file, 2);
    EXPECT_EQ(contents_of(file), first) << cut;
  }
}

TEST(MetricsLog, ANewRunStartsEmpty) {
  const TemporaryDirectory directory;
  const auto file = directory / "metrics.jsonl";
  MetricsLog(file, 0).write(report(1));
  MetricsLog log(file, 0);
  EXPECT_EQ(contents_of(file), "");
}

TEST(MetricsLog, AFailedWriteThrowsAndLeavesWholeLines) {
  const TemporaryDirectory directory;
  const auto file = directory / "metrics.jsonl";
  MetricsLog log(file, 0);
  log.write(report(1));
  const std::string first = contents_of(file);

  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{first.size() + 20, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  std::string problem;
  try {
    log.write(report(2));
  } catch (const Error& error) {
    problem = error.what();
  }
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, old_handler);

  EXPECT_NE(problem.find("metrics.jsonl"), std::string::npos) << problem;
  EXPECT_NE(problem.find("File too large"), std::string::npos) << problem;
  EXPECT_EQ(contents_of(file), first);
  log.write(report(2));
  EXPECT_EQ(steps_of(file), (std::vector<std::int64_t>{1, 2}));
}

TEST(MetricsLog, ADirectoryThatIsNotThereIsAnError) {
  const TemporaryDirectory directory;
  EXPECT_THROW(MetricsLog(directory / "none/metrics.jsonl", 0), Error);
}

TEST(MetricsLog, LinesOfOthersAreKept) {
  const TemporaryDirectory directory;
  const auto file = directory / "metrics.jsonl";
  put(file, "# my remark\n{\"epoch\":1}\n{\"step\":9}\n{\"step\":1}\n{\"st");
  const MetricsLog log(file, 1);
  EXPECT_EQ(contents_of(file), "# my remark\n{\"epoch\":1}\n{\"step\":1}\n");
}

TEST(MetricsLog, BeyondItsLimitTheOlderHalfIsThinned) {
  const TemporaryDirectory directory;
  const auto file = directory / "metrics.jsonl";
  MetricsLog log(file, 0, directory.path(), 700);
  const auto lines = [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t step = from; step <= to; ++step) {
      log.write(report(step));
      if (step % 3 == 0) log.write(EvalReport{.step = step, .loss = 1.0});
    }
  };
  lines(1, 6);
  const auto bytes = std::filesystem::file_size(file);
  ASSERT_GT(bytes, 700U);
  log.sync();
  // The half begins before the line of step 4: its steps 1 and 3 stay.
  EXPECT_EQ(steps_of(file), (std::vector<std::int64_t>{1, 3, 3, 4, 5, 6, 6}));
  EXPECT_TRUE(lines_of(file).at(2).contains("val_loss"));
  lines(7, 7);
  EXPECT_EQ(steps_of(file).back(), 7);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 1);
}

TEST(MetricsLog, LinesArriveWhileItIsThinned) {
  const TemporaryDirectory directory;
  const auto file = directory / "metrics.jsonl";
  constexpr std::int64_t kSteps = 20'000;
  MetricsLog log(file, 0, directory.path(), 4096);
  std::thread writer([&] {
    for (std::int64_t step = 1; step <= kSteps; ++step) log.write(report(step));
  });
  for (int i = 0; i < 50; ++i) log.sync();
  writer.join();
  log.sync();
  const auto steps = steps_of(file);  // Every line parses.
  EXPECT_TRUE(std::ranges::is_sorted(steps));
  EXPECT_EQ(std::ranges::adjacent_find(steps), steps.end());
  EXPECT_EQ(steps.back(), kSteps);
  EXPECT_LT(static_cast<std::int64_t>(steps.size()), kSteps);
}

TEST(MetricsLog, AFileThatCannotBeThinnedStays) {
  const TemporaryDirectory directory;
  const auto file = directory / "metrics.jsonl";
  MetricsLog log(file, 0, directory / "none", 10);
  for (int step = 1; step <= 5; ++step) log.write(report(step));
  log.sync();
  EXPECT_EQ(steps_of(file), (std::vector<std::int64_t>{1, 2, 3, 4, 5}));
}

}  // namespace
}  // namespace cajal::train
