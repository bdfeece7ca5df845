// Totals, idle gaps and their causes.
#include "cajal/timeline.h"

#include "support.h"

namespace cajal::test {
namespace {

SubmissionSpan span(Clock committed, Clock started, Clock completed) {
  SubmissionSpan s;
  s.label = "span";
  s.committed = committed;
  s.submitted = committed;
  s.started = started;
  s.completed = completed;
  return s;
}

TEST(Timeline, CountsOverlappingWorkOnce) {
  Timeline timeline;
  timeline.add(span(0, 100, 200));
  timeline.add(span(0, 150, 250));  // Half of it within the first.
  timeline.add(span(0, 160, 180));  // All of it.
  timeline.add(span(0, 400, 500));
  const Usage usage = timeline.usage();
  EXPECT_EQ(usage.busy_ns, 250);
  EXPECT_EQ(usage.submissions, 4);
}

TEST(Timeline, CountsWaitsByReason) {
  Timeline timeline;
  const Usage before = timeline.usage();
  timeline.add(WaitSpan{WaitReason::back_pressure, 1, 10, 30});
  timeline.add(WaitSpan{WaitReason::back_pressure, 2, 40, 45});
  timeline.add(WaitSpan{WaitReason::checkpoint, 2, 50, 51});
  const Usage used = timeline.usage() - before;
  EXPECT_EQ(used.host_waits(), 3);
  EXPECT_EQ(used.blocked_ns(), 26);
  EXPECT_EQ(used.waits[static_cast<std::size_t>(WaitReason::back_pressure)].count, 2);
  EXPECT_EQ(used.waits[static_cast<std::size_t>(WaitReason::checkpoint)].blocked_ns, 1);
}

TEST(Timeline, NamesEveryReason) {
  std::vector<std::string> names;
  for (int i = 0; i < kWaitReasons; ++i) names.emplace_back(name_of(static_cast<WaitReason>(i)));
  EXPECT_THAT(names,
              ::testing::ElementsAre("back_pressure", "evaluation", "checkpoint", "generation",
                                     "shutdown", "every_op", "tuning", "data"));
}

TEST(Timeline, BusyShareStaysWithinItsBounds) {
  Usage earlier;
  earlier.at = 1000;
  Usage later = earlier;
  EXPECT_EQ(later.device_busy(earlier), 0.0);
  later.at = 2000;
  later.busy_ns = 750;
  EXPECT_DOUBLE_EQ(later.device_busy(earlier), 0.75);
  later.busy_ns = 1500;  // Work that began before the interval and ended in it.
  EXPECT_EQ(later.device_busy(earlier), 1.0);
}

TEST(Timeline, BlamesTheWaitThatHeldUpTheNextCommit) {
  Timeline timeline;
  timeline.add(span(0, 100, 200));
  timeline.add(WaitSpan{WaitReason::evaluation, 1, 90, 230});
  timeline.add(WaitSpan{WaitReason::checkpoint, 1, 235, 240});
  timeline.add(span(290, 300, 400));  // Committed after the wait had ended.
  const auto gaps = timeline.idle_gaps();
  ASSERT_EQ(gaps.size(), 1U);
  EXPECT_EQ(gaps[0].began, 200);
  EXPECT_EQ(gaps[0].ended, 300);
  ASSERT_TRUE(gaps[0].cause.has_value());
  EXPECT_EQ(gaps[0].cause->reason, WaitReason::evaluation);
}

TEST(Timeline, BlamesNoWaitWhenTheWorkWasThere) {
  Timeline timeline;
  timeline.add(span(0, 100, 200));
  timeline.add(WaitSpan{WaitReason::back_pressure, 1, 90, 230});
  timeline.add(span(50, 300, 400));   // Committed long before: the device was slow to begin.
  timeline.add(span(450, 460, 500));  // Committed late, without any wait.
  const auto gaps = timeline.idle_gaps();
  ASSERT_EQ(gaps.size(), 2U);
  EXPECT_FALSE(gaps[0].cause.has_value());
  EXPECT_FALSE(gaps[1].cause.has_value());
}

TEST(Timeline, KeepsTotalsForEverAndSpansInARing) {
  Timeline timeline;
  for (Clock i = 1; i <= 10'000; ++i) timeline.add(span(i * 10, i * 10, i * 10 + 5));
  EXPECT_EQ(timeline.usage().busy_ns, 50'000);
  EXPECT_LT(timeline.idle_gaps().size(), 9'999U);
  EXPECT_GT(timeline.idle_gaps().size(), 1'000U);
}

TEST(Timeline, SeesAQueueAtWork) {
  Bench bench;
  const auto buffer = bench.queue.command_buffer("work");
  buffer->encode("sleep", {}, sleeps(30ms));
  const Usage before = bench.queue.usage();
  bench.queue.wait(bench.queue.commit(buffer), WaitReason::evaluation);
  std::this_thread::sleep_for(30ms);
  bench.queue.wait(bench.queue.commit(buffer), WaitReason::evaluation);
  const Usage after = bench.queue.usage();
  const Usage used = after - before;
  EXPECT_GE(used.busy_ns, 60'000'000);
  EXPECT_LE(used.busy_ns, used.at - 30'000'000);
  EXPECT_EQ(used.submissions, 2);
  EXPECT_GT(after.device_busy(before), 0.0);
  EXPECT_LT(after.device_busy(before), 1.0);
  EXPECT_EQ(used.waits[static_cast<std::size_t>(WaitReason::evaluation)].count, 2);
  EXPECT_GT(used.blocked_ns(), 0);

  const auto gaps = bench.queue.timeline().idle_gaps();
  ASSERT_EQ(gaps.size(), 1U);
  EXPECT_GE(gaps[0].ended - gaps[0].began, 29'000'000);
  ASSERT_TRUE(gaps[0].cause.has_value());
  EXPECT_EQ(gaps[0].cause->reason, WaitReason::evaluation);
}

TEST(Timeline, CountsNoWaitThatFoundTheWorkDone) {
  Bench bench;
  const auto buffer = bench.queue.command_buffer("quick");
  const Ticket ticket = bench.queue.commit(buffer);
  while (!bench.queue.completed(ticket)) std::this_thread::yield();
  bench.queue.wait(ticket, WaitReason::evaluation);
  EXPECT_EQ(bench.queue.usage().host_waits(), 0);
}

}  // namespace
}  // namespace cajal::test
