// The one steady-state wait.
#include "support.h"

namespace cajal::test {
namespace {

struct Outcome {
  Usage usage;
  std::int64_t most_outstanding = 0;  ///< Steps begun and not completed when begin_step returned.
};

Outcome run_steps(int steps, int commits_a_step, int max_in_flight) {
  Bench bench({.max_in_flight = max_in_flight});
  std::atomic<std::int64_t> completed{0};
  const auto part = bench.queue.command_buffer("part");
  part->encode("sleep", {}, sleeps(8ms / commits_a_step));
  Outcome outcome;
  for (int step = 1; step <= steps; ++step) {
    bench.queue.begin_step(step);
    outcome.most_outstanding = std::max(outcome.most_outstanding, step - 1 - completed);
    for (int i = 1; i < commits_a_step; ++i) bench.queue.commit(part);
    bench.queue.commit(part, {.completed = [&](const Completion&) { ++completed; }});
  }
  outcome.usage = bench.queue.usage();
  bench.queue.wait_idle(WaitReason::shutdown);
  return outcome;
}

TEST(BackPressure, WaitsAtMostOnceAStepWhateverTheStepHolds) {
  constexpr int kSteps = 40;
  for (const int max_in_flight : {1, 2, 3}) {
    for (const int commits : {1, 4, 16}) {
      const Outcome outcome = run_steps(kSteps, commits, max_in_flight);
      const auto& back_pressure =
          outcome.usage.waits[static_cast<std::size_t>(WaitReason::back_pressure)];
      EXPECT_GT(back_pressure.count, 0);
      EXPECT_LE(back_pressure.count, kSteps - max_in_flight);
      EXPECT_EQ(outcome.usage.host_waits(), back_pressure.count);
      EXPECT_GT(back_pressure.blocked_ns, 0);
      EXPECT_LT(outcome.most_outstanding, max_in_flight);
    }
  }
}

TEST(BackPressure, BoundsTheCommitsOfOneStep) {
  constexpr std::int64_t kCommits = 2000;
  Bench bench({.max_in_flight = 2});
  std::atomic<std::int64_t> completed{0};
  std::int64_t most_outstanding = 0;
  const auto part = bench.queue.command_buffer("part");
  part->encode("sleep", {}, sleeps(50us));
  bench.queue.begin_step(1);
  for (std::int64_t i = 0; i < kCommits; ++i) {
    bench.queue.commit(part, {.completed = [&](const Completion&) { ++completed; }});
    most_outstanding = std::max(most_outstanding, i + 1 - completed);
  }
  bench.queue.wait_idle(WaitReason::shutdown);
  EXPECT_EQ(completed, kCommits);
  EXPECT_LE(most_outstanding, 65);
  EXPECT_GE(most_outstanding, 32);  // the device has work when the host waits
  const Usage usage = bench.queue.usage();
  EXPECT_LE(usage.waits[static_cast<std::size_t>(WaitReason::back_pressure)].count, kCommits / 32);
}

TEST(BackPressure, LetsMaxInFlightStepsRunAhead) {
  Bench bench({.max_in_flight = 3});
  Gate gate;
  const auto gated = bench.queue.command_buffer("gated");
  gated->encode("gate", {}, gate.kernel());
  for (int step = 1; step <= 3; ++step) {
    bench.queue.begin_step(step);
    bench.queue.commit(gated);
    bench.queue.commit(gated);
  }
  EXPECT_EQ(bench.queue.usage().host_waits(), 0);
}

TEST(BackPressure, CountsALoneCommitAsAStep) {
  Bench bench({.max_in_flight = 2});
  const auto buffer = bench.queue.command_buffer("lone");
  buffer->encode("sleep", {}, sleeps(2ms));
  std::atomic<std::int64_t> completed{0};
  for (int i = 0; i < 20; ++i) {
    bench.queue.commit(buffer, {.completed = [&](const Completion&) { ++completed; }});
    EXPECT_GE(completed, i - 1);
  }
  const Usage usage = bench.queue.usage();
  EXPECT_GT(usage.host_waits(), 0);
  EXPECT_LE(usage.host_waits(), 18);
  bench.queue.wait_idle(WaitReason::shutdown);  // Handlers count in `completed`.
}

TEST(BackPressure, NeedsRoomForOneStep) {
  const auto device = Device::open("cpu");
  EXPECT_THROW(CommandQueue(device, {.max_in_flight = 0}), InvalidArgument);
  EXPECT_THROW(CommandQueue(nullptr), InvalidArgument);
}

}  // namespace
}  // namespace cajal::test
