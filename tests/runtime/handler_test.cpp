// Completed handlers.
#include "support.h"

namespace cajal::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Handlers, RunInCommitOrderAndInTheOrderAdded) {
  Bench bench({.max_in_flight = 100});
  std::vector<std::string> order;
  const auto add = [&](std::string name) {
    return [&order, name](const Completion&) { order.push_back(name); };
  };
  const auto a = bench.queue.command_buffer("a");
  a->encode("sleep", {}, sleeps(2ms));
  a->add_completed_handler(add("a1"));
  a->add_completed_handler(add("a2"));
  const auto b = bench.queue.command_buffer("b");
  b->add_completed_handler(add("b1"));
  bench.queue.commit(a, {.completed = add("a, this time")});
  bench.queue.commit(b);
  bench.queue.commit(a);
  bench.queue.wait_idle(WaitReason::evaluation);
  EXPECT_THAT(order, ElementsAre("a1", "a2", "a, this time", "b1", "a1", "a2"));
}

TEST(Handlers, HaveRunWhenWaitReturns) {
  Bench bench;
  std::atomic<bool> ran{false};
  const auto buffer = bench.queue.command_buffer("slow handler");
  buffer->add_completed_handler([&](const Completion&) {
    std::this_thread::sleep_for(20ms);
    ran = true;
  });
  bench.queue.wait(bench.queue.commit(buffer), WaitReason::evaluation);
  EXPECT_TRUE(ran);
}

TEST(Handlers, LearnTicketStepAndTimes) {
  Bench bench;
  Completion seen;
  bench.queue.begin_step(42);
  const auto buffer = bench.queue.command_buffer("timed");
  buffer->encode("sleep", {}, sleeps(5ms));
  const Ticket ticket =
      bench.queue.commit(buffer, {.completed = [&](const Completion& c) { seen = c; }});
  bench.queue.wait(ticket, WaitReason::evaluation);
  EXPECT_EQ(seen.ticket, ticket);
  EXPECT_EQ(seen.step, 42);
  EXPECT_GE(seen.completed - seen.started, 5'000'000);
  EXPECT_FALSE(seen.fault.has_value());
}

TEST(Handlers, MaySeeWhatTheirSubmissionWrote) {
  Bench bench({}, {.check_host_access = true});
  const Buffer value = bench.ints(1);
  std::int32_t seen = 0;
  const auto buffer = bench.queue.command_buffer("set");
  buffer->encode("set", {{value, Access::write}}, sets(value, 11));
  buffer->add_completed_handler(
      [&](const Completion&) { seen = value.host_read<std::int32_t>()[0]; });
  bench.queue.commit(buffer);
  bench.queue.wait_idle(WaitReason::evaluation);
  EXPECT_EQ(seen, 11);
}

TEST(Handlers, ThatThrowAreHeardAtTheNextCommitOrWaitOnce) {
  Bench bench;
  int later = 0;
  const auto buffer = bench.queue.command_buffer("train step");
  buffer->add_completed_handler([](const Completion&) { throw std::runtime_error("disk full"); });
  buffer->add_completed_handler([&](const Completion&) { ++later; });
  bench.queue.begin_step(5);
  bench.queue.commit(buffer);
  const std::string message = error_of([&] { bench.queue.wait_idle(WaitReason::evaluation); });
  EXPECT_THAT(message,
              AllOf(HasSubstr("'train step'"), HasSubstr("step 5"), HasSubstr("disk full")));
  EXPECT_EQ(later, 1);
  EXPECT_NO_THROW(bench.queue.commit(bench.queue.command_buffer("next")));
}

TEST(Handlers, MayThrowAnything) {
  Bench bench;
  const auto buffer = bench.queue.command_buffer("odd");
  buffer->add_completed_handler([](const Completion&) { throw 1; });
  bench.queue.commit(buffer);
  EXPECT_THROW(bench.queue.wait_idle(WaitReason::evaluation), Error);
}

TEST(Handlers, ThatThrowDoNotStopTheDestructor) {
  Bench bench;
  const auto buffer = bench.queue.command_buffer("thrower");
  buffer->add_completed_handler([](const Completion&) { throw std::runtime_error("late"); });
  bench.queue.commit(buffer);
}

TEST(Handlers, MustNotWaitCommitOrBeginAStep) {
  Bench bench;
  std::vector<std::string> refusals;
  const auto again = bench.queue.command_buffer("again");
  const auto buffer = bench.queue.command_buffer("recursive");
  buffer->add_completed_handler([&](const Completion& c) {
    refusals.push_back(error_of([&] { bench.queue.wait(c.ticket, WaitReason::evaluation); }));
    refusals.push_back(error_of([&] { bench.queue.wait_idle(WaitReason::evaluation); }));
    refusals.push_back(error_of([&] { bench.queue.commit(again); }));
    refusals.push_back(error_of([&] { bench.queue.begin_step(2); }));
  });
  bench.queue.wait(bench.queue.commit(buffer), WaitReason::evaluation);
  EXPECT_THAT(
      refusals,
      ElementsAre(HasSubstr("handler calls wait on"), HasSubstr("handler calls wait_idle"),
                  HasSubstr("handler calls commit"), HasSubstr("handler calls begin_step")));
}

TEST(Handlers, MayDropTheLastHandles) {
  Bench bench;
  const std::size_t before = bench.device->allocated_bytes();
  auto held = std::make_shared<Buffer>(bench.ints(256));
  const auto buffer = bench.queue.command_buffer("drop");
  buffer->add_completed_handler([held](const Completion&) { *held = Buffer(); });
  bench.queue.wait(bench.queue.commit(buffer), WaitReason::evaluation);
  EXPECT_EQ(bench.device->allocated_bytes(), before);
}

}  // namespace
}  // namespace cajal::test
