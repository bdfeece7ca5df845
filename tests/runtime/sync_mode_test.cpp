// Waiting after every operation changes the time, not the results.
#include "support.h"

namespace cajal::test {
namespace {

struct Outcome {
  std::vector<std::int32_t> values;  ///< Downloaded by every step.
  Usage usage;
};

/// Each step uploads a number and folds it in three times.
Outcome run(SyncMode mode, std::uint64_t seed) {
  Bench bench({.sync = mode});
  std::mt19937_64 random(seed);
  const Buffer value = bench.ints(1);
  const Buffer input = bench.ints(1);
  write_int(bench.queue, value, 1);
  const auto step = bench.queue.command_buffer("step");
  for (const std::int32_t factor : {3, 5, 7}) {
    step->encode("fold", {{value, Access::read_write}, {input, Access::read}},
                 [kernel = folds(value, input, factor)](ExecutionContext& context) {
                   std::this_thread::sleep_for(1ms);
                   kernel(context);
                 });
  }
  Outcome outcome;
  const Usage before = bench.queue.usage();
  for (int i = 1; i <= 10; ++i) {
    bench.queue.begin_step(i);
    const auto up = bench.device->staging(4);
    const auto number = static_cast<std::uint32_t>(random());
    std::memcpy(up->data, &number, 4);
    const auto down = bench.device->staging(4);
    bench.queue.commit(step, {.uploads = {{up, input}},
                              .downloads = {{value, down}},
                              .completed = [&outcome, down](const Completion& c) {
                                std::int32_t seen = 0;
                                std::memcpy(&seen, down->data, 4);
                                outcome.values.push_back(seen);
                                EXPECT_GE(c.completed - c.started, 3'000'000);  // All three.
                              }});
  }
  outcome.usage = bench.queue.usage() - before;
  bench.queue.wait_idle(WaitReason::shutdown);
  return outcome;
}

std::int64_t every_op_waits(const Usage& usage) {
  return usage.waits[static_cast<std::size_t>(WaitReason::every_op)].count;
}

TEST(SyncMode, GivesTheSameBitsAndCountsItsWaits) {
  const std::uint64_t seed = fresh_random()();
  const Outcome step = run(SyncMode::step, seed);
  const Outcome every_op = run(SyncMode::every_op, seed);
  EXPECT_EQ(step.values.size(), 10U);
  EXPECT_EQ(step.values, every_op.values);
  EXPECT_EQ(every_op_waits(step.usage), 0);
  EXPECT_LE(step.usage.host_waits(), 10);
  EXPECT_GT(every_op_waits(every_op.usage), 10);  // More than the commits: within them.
  EXPECT_LE(every_op_waits(every_op.usage), 30);
  EXPECT_EQ(every_op.usage.submissions, 30);
}

TEST(SyncMode, EveryOpHasFinishedWhenCommitReturns) {
  Bench bench({.sync = SyncMode::every_op});
  bool handled = false;
  const auto buffer = bench.queue.command_buffer("two");
  buffer->encode("one", {}, nothing());
  buffer->encode("two", {}, sleeps(1ms));
  const Ticket ticket =
      bench.queue.commit(buffer, {.completed = [&](const Completion&) { handled = true; }});
  EXPECT_TRUE(bench.queue.completed(ticket));
  EXPECT_TRUE(handled);
}

}  // namespace
}  // namespace cajal::test
