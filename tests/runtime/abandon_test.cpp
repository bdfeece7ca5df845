// Giving up what has not begun.
#include "support.h"

namespace cajal::test {
namespace {

TEST(Abandon, LeavesUndoneWhatHasNotBegunAndTellsItsHandlers) {
  Bench bench({.max_in_flight = 8});
  Gate gate;
  const auto gated = bench.queue.command_buffer("gated");
  std::atomic<bool> begun{false};
  gated->encode("begin", {}, [&](ExecutionContext&) { begun = true; });
  gated->encode("gate", {}, gate.kernel());
  std::atomic<int> ran{0};
  const auto counted = bench.queue.command_buffer("counted");
  counted->encode("count", {}, [&](ExecutionContext&) { ++ran; });
  std::vector<Completion> completions;
  const auto record = [&](const Completion& c) { completions.push_back(c); };
  bench.queue.commit(gated, {.completed = record});
  while (!begun) std::this_thread::yield();
  for (int i = 0; i < 3; ++i) bench.queue.commit(counted, {.completed = record});
  bench.queue.abandon();
  gate.open();
  bench.queue.wait_idle(WaitReason::shutdown);
  EXPECT_EQ(ran, 0);
  ASSERT_EQ(completions.size(), 4U);
  EXPECT_TRUE(completions[0].succeeded()) << "it had begun";
  for (std::size_t i = 1; i < 4; ++i) {
    EXPECT_TRUE(completions[i].abandoned) << i;
    EXPECT_FALSE(completions[i].succeeded()) << i;
    EXPECT_FALSE(completions[i].fault.has_value()) << i;
  }
}

TEST(Abandon, WorkCommittedLaterRuns) {
  Bench bench;
  std::atomic<int> ran{0};
  const auto counted = bench.queue.command_buffer("counted");
  counted->encode("count", {}, [&](ExecutionContext&) { ++ran; });
  bench.queue.abandon();
  bench.queue.commit(counted);
  bench.queue.wait_idle(WaitReason::shutdown);
  EXPECT_EQ(ran, 1);
}

}  // namespace
}  // namespace cajal::test
