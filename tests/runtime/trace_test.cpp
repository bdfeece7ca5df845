// The Chrome trace.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "support.h"

namespace cajal::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

class Trace : public ::testing::Test {
 protected:
  Trace() {
    directory = fs::temp_directory_path() /
                ("cajal_trace_" + std::to_string(::getpid()) + "_" +
                 ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(directory);
  }
  ~Trace() override { fs::remove_all(directory); }

  /// Three steps of two operations each, and a wait for evaluation.
  Json traced() {
    bench.queue.timeline().start_trace();
    const auto step = bench.queue.command_buffer("train \"step\"");
    step->encode("forward", {}, sleeps(2ms));
    step->encode("backward", {}, sleeps(1ms));
    for (int i = 1; i <= 3; ++i) {
      bench.queue.begin_step(i);
      bench.queue.commit(step);
    }
    bench.queue.wait_idle(WaitReason::evaluation);
    bench.queue.timeline().write_chrome_trace(directory / "trace.json");
    return Json::parse(std::ifstream(directory / "trace.json"))["traceEvents"];
  }
  static std::vector<Json> slices(const Json& events, const std::string& category) {
    std::vector<Json> found;
    for (const Json& event : events) {
      if (event["ph"] == "X" && event["cat"] == category) found.push_back(event);
    }
    return found;
  }

  Bench bench;
  fs::path directory;
};

TEST_F(Trace, HasNamedLanes) {
  std::set<std::string> names;
  for (const Json& event : traced()) {
    if (event["ph"] == "M" && event["args"].contains("name")) names.insert(event["args"]["name"]);
  }
  EXPECT_EQ(names, (std::set<std::string>{"cajal", "host", "device"}));
}

TEST_F(Trace, ShowsCommitsSubmissionsOperationsAndWaits) {
  const Json events = traced();
  EXPECT_EQ(slices(events, "commit").size(), 3U);
  EXPECT_EQ(slices(events, "submission").size(), 3U);
  EXPECT_EQ(slices(events, "operation").size(), 6U);
  const auto waits = slices(events, "wait");
  ASSERT_FALSE(waits.empty());
  EXPECT_EQ(waits.back()["name"], "wait: evaluation");
  EXPECT_EQ(waits.back()["args"]["reason"], "evaluation");
  EXPECT_NE(waits.back()["tid"], slices(events, "submission").front()["tid"]);
  EXPECT_EQ(slices(events, "submission")[1]["args"]["step"], 2);
}

TEST_F(Trace, NestsOperationsInTheirSubmission) {
  const Json events = traced();
  const auto submissions = slices(events, "submission");
  const auto operations = slices(events, "operation");
  constexpr double kSlack = 1e-3;  // Microseconds: rounding of the decimal numbers.
  for (std::size_t i = 0; i < operations.size(); ++i) {
    const Json& outer = submissions[i / 2];
    const double began = operations[i]["ts"];
    const double lasted = operations[i]["dur"];
    EXPECT_EQ(operations[i]["name"], i % 2 == 0 ? "forward" : "backward");
    EXPECT_GE(began + kSlack, outer["ts"].get<double>());
    EXPECT_LE(began + lasted, outer["ts"].get<double>() + outer["dur"].get<double>() + kSlack);
    EXPECT_GE(lasted, i % 2 == 0 ? 2000.0 : 1000.0);
  }
}

TEST_F(Trace, DrawsAnArrowFromEveryCommitToItsStart) {
  std::map<int, double> begins;
  std::map<int, double> ends;
  const Json events = traced();
  for (const Json& event : events) {
    if (event["ph"] == "s") begins[event["id"]] = event["ts"];
    if (event["ph"] == "f") ends[event["id"]] = event["ts"];
  }
  EXPECT_EQ(begins.size(), 3U);
  ASSERT_EQ(ends.size(), 3U);
  for (const auto& [id, began] : begins) EXPECT_LE(began, ends.at(id));
}

TEST_F(Trace, CountsTimeFromItsFirstEvent) {
  double first = 1e300;
  for (const Json& event : traced()) {
    if (event.contains("ts")) first = std::min(first, event["ts"].get<double>());
  }
  EXPECT_EQ(first, 0.0);
}

TEST_F(Trace, KeepsEverySpanWhileTracing) {
  bench.queue.timeline().start_trace();
  const auto buffer = bench.queue.command_buffer("tiny");
  for (int i = 0; i < 6000; ++i) bench.queue.commit(buffer);
  bench.queue.wait_idle(WaitReason::evaluation);
  bench.queue.timeline().write_chrome_trace(directory / "long.json");
  const Json events = Json::parse(std::ifstream(directory / "long.json"))["traceEvents"];
  EXPECT_EQ(slices(events, "submission").size(), 6000U);
}

TEST_F(Trace, RecordsNoOperationsUnlessAsked) {
  const auto buffer = bench.queue.command_buffer("untraced");
  buffer->encode("op", {}, nothing());
  bench.queue.wait(bench.queue.commit(buffer), WaitReason::evaluation);
  bench.queue.timeline().write_chrome_trace(directory / "untraced.json");
  const Json events = Json::parse(std::ifstream(directory / "untraced.json"))["traceEvents"];
  EXPECT_EQ(slices(events, "submission").size(), 1U);
  EXPECT_TRUE(slices(events, "operation").empty());
}

TEST_F(Trace, IsWholeOrNotThere) {
  traced();
  EXPECT_EQ(std::distance(fs::directory_iterator(directory), fs::directory_iterator()), 1);
  EXPECT_THROW(bench.queue.timeline().write_chrome_trace(directory / "none" / "trace.json"), Error);
  fs::create_directories(directory / "taken" / "inside");
  EXPECT_THROW(bench.queue.timeline().write_chrome_trace(directory / "taken"), Error);
  EXPECT_EQ(std::distance(fs::directory_iterator(directory), fs::directory_iterator()), 2);
}

}  // namespace
}  // namespace cajal::test
