// What goes wrong on a CUDA card, and what the host is told.
#include <cstdio>
#include <cstdlib>

#include "cuda_fixture.h"

namespace cajal::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class CudaFailure : public CudaQueueTest, public ::testing::WithParamInterface<SyncMode> {
 protected:
  void SetUp() override {
    CudaQueueTest::SetUp();
    if (!IsSkipped()) open_queue({.max_in_flight = 8, .sync = GetParam()});
  }

  /// Sets another buffer, checks `values`, sets the other again.
  std::shared_ptr<CommandBuffer> checking(const Buffer& values) {
    const Buffer other = ints(1, "other");
    auto commands = queue->command_buffer("checking step");
    commands->encode("before", {{other, Access::write}}, cuda_sets(other, 1));
    commands->encode("check", {{values, Access::read}}, cuda_refuses_negatives(values));
    commands->encode("after", {{other, Access::write}}, cuda_sets(other, 2));
    commands->add_completed_handler([this](const Completion& c) { completions.push_back(c); });
    return commands;
  }
  /// Commits with these values on their way, and waits.
  std::string outcome(const std::shared_ptr<CommandBuffer>& commands, const Buffer& to,
                      const Ints& values) {
    const auto up = device->staging(to.size());
    std::memcpy(up->data, values.data(), to.size());
    return error_of([&] {
      queue->commit(commands, {.uploads = {{up, to}}});
      queue->wait_idle(WaitReason::evaluation);
    });
  }

  std::vector<Completion> completions;
};

TEST_P(CudaFailure, ABadValueIsNamedWithItsOperationAndStep) {
  const Buffer values = ints(3);
  const auto commands = checking(values);
  queue->begin_step(7);
  EXPECT_THAT(outcome(commands, values, {4, -5, 6}),
              AllOf(HasSubstr("'check'"), HasSubstr("step 7"), HasSubstr("cuda:"),
                    HasSubstr("element [1] is -5, which is negative; be positive")));
  ASSERT_EQ(completions.size(), 1U);
  ASSERT_TRUE(completions[0].fault.has_value());
  EXPECT_EQ(completions[0].fault->operation, "check");
  EXPECT_EQ(completions[0].fault->step, 7);
}

TEST_P(CudaFailure, AReplayThatMeetsABadValueIsNamedToo) {
  const Buffer values = ints(2);
  const auto commands = checking(values);
  for (int step = 1; step <= 4; ++step) {
    queue->begin_step(step);
    ASSERT_EQ(outcome(commands, values, {0, step}), "(no Error)") << "step " << step;
  }
  queue->begin_step(5);
  EXPECT_THAT(outcome(commands, values, {-2147483647, 1}),
              AllOf(HasSubstr("'check'"), HasSubstr("step 5"), HasSubstr("[0] is -2147483647")));
  ASSERT_EQ(completions.size(), 5U);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_FALSE(completions[i].fault.has_value());
  EXPECT_TRUE(completions[4].fault.has_value());
}

TEST_P(CudaFailure, IsStickyForTheQueueAlone) {
  const Buffer values = ints(1);
  const auto commands = checking(values);
  EXPECT_THAT(outcome(commands, values, {-1}), HasSubstr("'check'"));
  for (int i = 0; i < 2; ++i) {
    EXPECT_THROW(queue->commit(commands), Error);
    EXPECT_THROW(queue->wait_idle(WaitReason::evaluation), Error);
    EXPECT_THROW(queue->begin_step(9), Error);
    EXPECT_THROW(read(values), Error);
  }
  open_queue();
  write(values, {8});
  EXPECT_EQ(read(values), (Ints{8}));
}

TEST_P(CudaFailure, AKernelThatThrowsIsNamed) {
  const auto commands = queue->command_buffer("throwing step");
  commands->encode("fine", {}, cuda_spins(1us));
  commands->encode("layer_norm", {}, fails("no plan for this shape"));
  queue->begin_step(2);
  EXPECT_THAT(error_of([&] {
                queue->commit(commands);
                queue->wait_idle(WaitReason::evaluation);
              }),
              AllOf(HasSubstr("'layer_norm'"), HasSubstr("step 2"), HasSubstr("no plan")));
}

INSTANTIATE_TEST_SUITE_P(Modes, CudaFailure, ::testing::Values(SyncMode::step, SyncMode::every_op));

class CudaFailureInFlight : public CudaQueueTest {};

TEST_F(CudaFailureInFlight, TellsLaterSubmissionsTheSameFault) {
  open_queue({.max_in_flight = 8});
  const Buffer values = ints_of({-3});
  const auto bad = queue->command_buffer("bad");
  bad->encode("spin", {}, cuda_spins(20ms));
  bad->encode("check", {{values, Access::read}}, cuda_refuses_negatives(values));
  const auto good = queue->command_buffer("good");
  good->encode("spin", {}, cuda_spins(1us));
  std::vector<Completion> completions;
  const auto record = [&](const Completion& c) { completions.push_back(c); };
  queue->begin_step(1);
  queue->commit(bad, {.completed = record});
  queue->begin_step(2);
  queue->commit(good, {.completed = record});
  EXPECT_THROW(queue->wait_idle(WaitReason::evaluation), Error);
  ASSERT_EQ(completions.size(), 2U);
  for (const Completion& completion : completions) {
    ASSERT_TRUE(completion.fault.has_value());
    EXPECT_EQ(completion.fault->operation, "check");
    EXPECT_EQ(completion.fault->step, 1);
  }
  EXPECT_EQ(completions[1].step, 2);
}

/// Replays of one graph share what their kernels report with: the fault is the later one's alone.
TEST_F(CudaFailureInFlight, OfTwoReplaysTheSecondMayBeTheBadOne) {
  open_queue({.max_in_flight = 8});
  const Buffer values = ints(1);
  const auto commands = queue->command_buffer("step");
  commands->encode("check", {{values, Access::read}}, cuda_refuses_negatives(values));
  commands->encode("spin", {}, cuda_spins(20ms));  // the next replay ends behind this one
  std::vector<Completion> completions;
  commands->add_completed_handler([&](const Completion& c) { completions.push_back(c); });
  const auto commit = [&](std::int64_t step, std::int32_t value) {
    const auto up = device->staging(sizeof value);
    std::memcpy(up->data, &value, sizeof value);
    queue->begin_step(step);
    queue->commit(commands, {.uploads = {{up, values}}});
  };
  for (std::int64_t step = 1; step <= 3; ++step) commit(step, 1);  // the second makes the graph
  queue->wait_idle(WaitReason::evaluation);
  commit(4, 1);
  commit(5, -7);
  commit(6, -8);
  EXPECT_THAT(error_of([&] { queue->wait_idle(WaitReason::evaluation); }),
              AllOf(HasSubstr("step 5"), HasSubstr("element [0] is -7")));
  ASSERT_EQ(completions.size(), 6U);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_FALSE(completions[i].fault.has_value()) << i;
  EXPECT_EQ(completions[4].fault.value().step, 5);
}

TEST_F(CudaFailureInFlight, DestroysTheQueueQuietly) {
  const Buffer values = ints_of({-3});
  int handlers = 0;
  const auto bad = queue->command_buffer("bad");
  bad->encode("check", {{values, Access::read}}, cuda_refuses_negatives(values));
  queue->commit(bad, {.completed = [&](const Completion&) { ++handlers; }});
  queue.reset();
  EXPECT_EQ(handlers, 1);
}

/// An illegal address leaves the process without its card, so each has a process of its own.
class CudaFailureDeathTest : public CudaQueueTest {
 protected:
  CudaFailureDeathTest() { ::testing::GTEST_FLAG(death_test_style) = "threadsafe"; }

  /// Prints what the host is told, then what it is told again, and ends well.
  [[noreturn]] void write_nowhere(SyncMode mode, int commits) {
    open_queue({.sync = mode});
    const Buffer value = ints(1);
    const auto commands = queue->command_buffer("doomed step");
    commands->encode("before", {{value, Access::write}}, cuda_sets(value, 1));
    commands->encode("poke", {}, cuda_writes_nowhere());
    commands->encode("after", {{value, Access::write}}, cuda_sets(value, 2));
    for (int step = 1; step <= commits; ++step) {
      tell("first: ", [&] {
        queue->begin_step(step);
        queue->commit(commands);
      });
    }
    tell("first: ", [&] { queue->wait_idle(WaitReason::evaluation); });
    tell("commit: ", [&] { queue->commit(commands); });
    tell("read: ", [&] { read(value); });
    queue.reset();
    tell("another queue: ", [&] {
      open_queue();
      write(value, {1});
    });
    std::fprintf(stderr, "and it ends\n");
    std::fflush(stderr);
    std::_Exit(0);
  }
  template <class Action>
  static void tell(const char* when, Action action) {
    std::fprintf(stderr, "%s%s\n", when, error_of(action).c_str());
  }
};

TEST_F(CudaFailureDeathTest, EveryOpNamesTheOperationOfAnIllegalAddress) {
  EXPECT_EXIT(write_nowhere(SyncMode::every_op, 1), ::testing::ExitedWithCode(0),
              AllOf(HasSubstr("first: operation 'poke'"), HasSubstr("step 1"), HasSubstr("illegal"),
                    HasSubstr("commit: operation 'poke'"), HasSubstr("read: operation 'poke'"),
                    Not(HasSubstr("another queue: (no Error)")), HasSubstr("and it ends")));
}

TEST_F(CudaFailureDeathTest, StepNamesTheCommandBufferOfAnIllegalAddress) {
  EXPECT_EXIT(
      write_nowhere(SyncMode::step, 1), ::testing::ExitedWithCode(0),
      AllOf(HasSubstr("first: operation 'doomed step'"), HasSubstr("step 1"), HasSubstr("illegal"),
            HasSubstr("--sync every-op"), HasSubstr("commit: operation 'doomed step'"),
            HasSubstr("read: operation 'doomed step'"), HasSubstr("and it ends")));
}

TEST_F(CudaFailureDeathTest, WorkGivenMeanwhileIsToldOfIt) {
  EXPECT_EXIT(write_nowhere(SyncMode::step, 4), ::testing::ExitedWithCode(0),
              AllOf(HasSubstr("'doomed step'"), HasSubstr("step 1"), HasSubstr("commit: operation"),
                    HasSubstr("and it ends")));
}

}  // namespace
}  // namespace cajal::test
