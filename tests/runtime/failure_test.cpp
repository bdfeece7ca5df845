// A kernel that throws in the middle of a step.
#include "support.h"

namespace cajal::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class Failure : public ::testing::TestWithParam<SyncMode> {
 protected:
  Bench bench{{.max_in_flight = 8, .sync = GetParam()}};
  std::vector<Completion> completions;

  /// Sets 1, fails, sets 2.
  std::shared_ptr<CommandBuffer> failing(const Buffer& value) {
    auto buffer = bench.queue.command_buffer("failing step");
    buffer->encode("before", {{value, Access::write}}, sets(value, 1));
    buffer->encode("layer_norm", {{value, Access::read_write}}, fails("variance is not finite"));
    buffer->encode("after", {{value, Access::write}}, sets(value, 2));
    buffer->add_completed_handler([this](const Completion& c) { completions.push_back(c); });
    return buffer;
  }
};

TEST_P(Failure, NamesOperationStepAndDevice) {
  const Buffer value = bench.ints(1);
  bench.queue.begin_step(7);
  const std::string message = error_of([&] {
    bench.queue.commit(failing(value));
    bench.queue.wait_idle(WaitReason::evaluation);
  });
  EXPECT_THAT(message, AllOf(HasSubstr("'layer_norm'"), HasSubstr("step 7"), HasSubstr("cpu"),
                             HasSubstr("variance is not finite")));
}

TEST_P(Failure, TellsHandlersAndSkipsWhatFollows) {
  const Buffer value = bench.ints(1);
  bench.queue.begin_step(3);
  error_of([&] {
    bench.queue.commit(failing(value));
    bench.queue.wait_idle(WaitReason::evaluation);
  });
  ASSERT_EQ(completions.size(), 1U);
  ASSERT_TRUE(completions[0].fault.has_value());
  EXPECT_EQ(completions[0].fault->operation, "layer_norm");
  EXPECT_EQ(completions[0].fault->step, 3);
  EXPECT_EQ(completions[0].fault->device, "cpu");
  EXPECT_EQ(value.host_read<std::int32_t>()[0], 1);
}

TEST_P(Failure, IsSticky) {
  const Buffer value = bench.ints(1);
  error_of([&] {
    bench.queue.commit(failing(value));
    bench.queue.wait_idle(WaitReason::evaluation);
  });
  const auto next = bench.queue.command_buffer("next");
  for (int i = 0; i < 2; ++i) {
    EXPECT_THROW(bench.queue.commit(next), Error);
    EXPECT_THROW(bench.queue.wait_idle(WaitReason::evaluation), Error);
    EXPECT_THROW(bench.queue.begin_step(9), Error);
    EXPECT_THROW(read_int(bench.queue, value), Error);
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, Failure, ::testing::Values(SyncMode::step, SyncMode::every_op));

TEST(FailureInFlight, SkipsLaterSubmissionsAndTellsTheirHandlersTheSameFault) {
  Bench bench({.max_in_flight = 8});
  Gate gate;
  const Buffer value = bench.ints(1);
  const auto down = bench.device->staging(sizeof(std::int32_t));
  std::memset(down->data, 0x55, down->size);
  std::vector<Completion> completions;
  const auto record = [&](const Completion& c) { completions.push_back(c); };

  bench.queue.begin_step(1);
  const auto bad = bench.queue.command_buffer("bad");
  bad->encode("gate", {}, gate.kernel());
  bad->encode("matmul", {}, fails("bad"));
  bench.queue.commit(bad, {.completed = record});
  bench.queue.begin_step(2);
  const auto good = bench.queue.command_buffer("good");
  good->encode("set", {{value, Access::write}}, sets(value, 5));
  bench.queue.commit(good, {.downloads = {{value, down}}, .completed = record});
  gate.open();
  EXPECT_THROW(bench.queue.wait_idle(WaitReason::evaluation), Error);

  ASSERT_EQ(completions.size(), 2U);
  EXPECT_EQ(completions[1].step, 2);
  ASSERT_TRUE(completions[1].fault.has_value());
  EXPECT_EQ(completions[1].fault->operation, "matmul");
  EXPECT_EQ(completions[1].fault->step, 1);
  EXPECT_EQ(down->data[0], std::byte{0x55});
}

TEST(FailureInFlight, IsKeptWhenAKernelThrowsNoException) {
  Bench bench;
  const auto buffer = bench.queue.command_buffer("odd");
  buffer->encode("odd", {}, [](ExecutionContext&) { throw 7; });
  bench.queue.commit(buffer);
  EXPECT_THROW(bench.queue.wait_idle(WaitReason::evaluation), Error);
}

TEST(FailureInFlight, DestroysTheQueueQuietly) {
  int handlers = 0;
  {
    Bench bench;
    const auto buffer = bench.queue.command_buffer("bad");
    buffer->encode("bad", {}, fails("bad"));
    bench.queue.commit(buffer, {.completed = [&](const Completion&) { ++handlers; }});
  }
  EXPECT_EQ(handlers, 1);
}

}  // namespace
}  // namespace cajal::test
