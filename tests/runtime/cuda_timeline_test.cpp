// A CUDA card's time stamps on the host's clock.
#include "cuda_fixture.h"

namespace cajal::test {
namespace {

class CudaTimeline : public CudaQueueTest {
 protected:
  std::shared_ptr<CommandBuffer> busy_for(std::chrono::milliseconds time) const {
    const auto commands = queue->command_buffer("busy");
    commands->encode("first half", {}, cuda_spins(time / 2));
    commands->encode("second half", {}, cuda_spins(time / 2));
    return commands;
  }
};

TEST_F(CudaTimeline, SpansAreOrderedAndWithinTheHostsTimes) {
  const auto commands = busy_for(4ms);
  const Clock before = now();
  for (int step = 1; step <= 20; ++step) {
    queue->begin_step(step);
    queue->commit(commands);
    if (step % 5 == 0) std::this_thread::sleep_for(3ms);  // Idle now and then.
  }
  queue->wait_idle(WaitReason::shutdown);
  const Clock after = now();

  const auto spans = queue->timeline().submissions();
  ASSERT_EQ(spans.size(), 20U);
  Clock last = before;
  for (const SubmissionSpan& span : spans) {
    SCOPED_TRACE(span.ticket);
    EXPECT_EQ(span.label, "busy");
    EXPECT_GE(span.started, last);
    EXPECT_GE(span.started, span.submitted);
    EXPECT_GE(span.completed - span.started, 3'900'000);  // The device's clock is no host's.
    EXPECT_TRUE(span.operations.empty());
    last = span.completed;
  }
  constexpr Clock kSeenLate = 2'000'000;  // The first stamp is placed by when the host saw it.
  EXPECT_LE(last, after + kSeenLate);
}

TEST_F(CudaTimeline, CompletionsTellTheSameTimes) {
  const auto commands = busy_for(2ms);
  std::vector<Completion> completions;
  for (int i = 0; i < 4; ++i) {
    queue->commit(commands, {.completed = [&](const Completion& c) { completions.push_back(c); }});
  }
  queue->wait_idle(WaitReason::evaluation);
  const auto spans = queue->timeline().submissions();
  ASSERT_EQ(completions.size(), spans.size());
  for (std::size_t i = 0; i < spans.size(); ++i) {
    EXPECT_EQ(completions[i].started, spans[i].started);
    EXPECT_EQ(completions[i].completed, spans[i].completed);
  }
}

TEST_F(CudaTimeline, BusyShareIsAShare) {
  const auto commands = busy_for(4ms);
  queue->commit(commands);
  queue->wait(queue->commit(commands), WaitReason::evaluation);
  const Usage before = queue->usage();
  for (int i = 0; i < 10; ++i) queue->commit(commands);
  queue->wait_idle(WaitReason::evaluation);
  const Usage busy = queue->usage();
  EXPECT_GT(busy.device_busy(before), 0.8);
  EXPECT_LE(busy.device_busy(before), 1.0);
  std::this_thread::sleep_for(60ms);
  const Usage idle = queue->usage();
  EXPECT_GT(idle.device_busy(before), 0.0);
  EXPECT_LT(idle.device_busy(before), 0.7);
  EXPECT_EQ(idle.device_busy(busy), 0.0);
}

TEST_F(CudaTimeline, TracedOperationsLieInTheirSubmission) {
  const auto commands = busy_for(4ms);
  for (int i = 0; i < 3; ++i) queue->commit(commands);  // Replayed before it is traced.
  queue->timeline().start_trace();
  for (int i = 0; i < 3; ++i) queue->commit(commands);
  queue->wait_idle(WaitReason::evaluation);
  const auto spans = queue->timeline().submissions();
  ASSERT_EQ(spans.size(), 6U);
  for (std::size_t i = 3; i < 6; ++i) {
    ASSERT_EQ(spans[i].operations.size(), 2U);
    constexpr Clock kRounding = 1000;  // Event times are floats of milliseconds.
    Clock last = spans[i].started - kRounding;
    for (const OperationSpan& operation : spans[i].operations) {
      EXPECT_GE(operation.started, last);
      EXPECT_GE(operation.completed - operation.started, 1'900'000);
      last = operation.completed - kRounding;
    }
    EXPECT_LE(last, spans[i].completed);
    EXPECT_EQ(spans[i].operations[0].operation, "first half");
    EXPECT_EQ(spans[i].operations[1].operation, "second half");
  }
}

}  // namespace
}  // namespace cajal::test
