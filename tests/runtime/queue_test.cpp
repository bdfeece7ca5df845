// Order, replay and transfers.
#include "runtime/cpu/context.h"
#include "support.h"

namespace cajal::test {
namespace {

TEST(Queue, RunsOperationsInCommitOrder) {
  Bench bench;
  auto random = fresh_random();
  const Buffer value = bench.ints(1);
  write_int(bench.queue, value, 1);
  std::uint32_t expected = 1;
  for (int commit = 0; commit < 20; ++commit) {
    const auto buffer = bench.queue.command_buffer("fold");
    for (int i = 0; i < 10; ++i) {
      const auto factor = static_cast<std::int32_t>(random() % 1000 + 2);
      const auto addend = static_cast<std::int32_t>(random() % 1000);
      const Buffer from = bench.ints(1);
      buffer->encode("set", {{from, Access::write}}, sets(from, addend));
      buffer->encode("fold", {{value, Access::read_write}, {from, Access::read}},
                     folds(value, from, factor));
      expected = expected * static_cast<std::uint32_t>(factor) + static_cast<std::uint32_t>(addend);
    }
    bench.queue.commit(buffer);
  }
  EXPECT_EQ(static_cast<std::uint32_t>(read_int(bench.queue, value)), expected);
}

TEST(Queue, CommitReturnsBeforeTheDeviceIsDone) {
  Bench bench;
  Gate gate;
  const auto buffer = bench.queue.command_buffer("gated");
  buffer->encode("gate", {}, gate.kernel());
  const Ticket ticket = bench.queue.commit(buffer);
  EXPECT_FALSE(bench.queue.completed(ticket));
  gate.open();
  bench.queue.wait(ticket, WaitReason::evaluation);
  EXPECT_TRUE(bench.queue.completed(ticket));
}

TEST(Queue, ReplaysARecordedBufferWithFreshInputsFromARing) {
  Bench bench({.max_in_flight = 2});
  const Buffer input = bench.ints(1, "input");
  const Buffer sum = bench.ints(1, "sum");
  write_int(bench.queue, sum, 0);
  const auto step = bench.queue.command_buffer("step");
  step->encode("add", {{sum, Access::read_write}, {input, Access::read}}, folds(sum, input, 1));

  std::vector<std::int32_t> seen;
  for (std::int32_t i = 1; i <= 50; ++i) {
    bench.queue.begin_step(i);
    const auto up = bench.device->staging(sizeof i);
    std::memcpy(up->data, &i, sizeof i);
    const auto down = bench.device->staging(sizeof i);
    bench.queue.commit(step, {.uploads = {{up, input}},
                              .downloads = {{sum, down}},
                              .completed = [&seen, down](const Completion&) {
                                std::int32_t value = 0;
                                std::memcpy(&value, down->data, sizeof value);
                                seen.push_back(value);
                              }});
  }
  bench.queue.wait_idle(WaitReason::shutdown);
  ASSERT_EQ(seen.size(), 50U);
  for (std::int32_t i = 1; i <= 50; ++i)
    EXPECT_EQ(seen[static_cast<std::size_t>(i - 1)], i * (i + 1) / 2);
}

TEST(Queue, ReadsBackWhatItWrote) {
  Bench bench;
  auto random = fresh_random();
  std::vector<std::uint64_t> sent(1000);
  for (auto& value : sent) value = random();
  const Buffer buffer = bench.device->allocate(sent.size() * 8, "bytes");
  bench.queue.write(std::as_bytes(std::span(sent)), buffer, WaitReason::checkpoint);
  std::vector<std::uint64_t> got(sent.size());
  bench.queue.read(buffer, std::as_writable_bytes(std::span(got)), WaitReason::checkpoint);
  EXPECT_EQ(sent, got);
}

TEST(Queue, RefusesTransfersOfTheWrongSize) {
  Bench bench;
  const Buffer buffer = bench.ints(4);
  std::vector<std::byte> three(3);
  EXPECT_THROW(bench.queue.read(buffer, three, WaitReason::evaluation), InvalidArgument);
  EXPECT_THROW(bench.queue.write(three, buffer, WaitReason::evaluation), InvalidArgument);
  const auto small = bench.device->staging(8);
  const auto empty = bench.queue.command_buffer("empty");
  EXPECT_THROW(bench.queue.commit(empty, {.uploads = {{small, buffer}}}), InvalidArgument);
  EXPECT_THROW(bench.queue.commit(empty, {.downloads = {{buffer, nullptr}}}), InvalidArgument);
}

TEST(Queue, SealsARecordingAtItsFirstCommit) {
  Bench bench;
  const auto buffer = bench.queue.command_buffer("sealed");
  bench.queue.commit(buffer);
  EXPECT_THROW(buffer->encode("late", {}, nothing()), Error);
  EXPECT_THROW(buffer->add_completed_handler([](const Completion&) {}), Error);
}

TEST(Queue, RefusesABufferOfAnotherDevice) {
  Bench bench;
  Bench other;
  EXPECT_THROW(bench.queue.commit(other.queue.command_buffer("foreign")), InvalidArgument);
  EXPECT_THROW(bench.queue.commit(nullptr), InvalidArgument);
}

TEST(Queue, RefusesAWaitForWhatWasNeverCommitted) {
  Bench bench;
  EXPECT_THROW(bench.queue.wait(1, WaitReason::evaluation), InvalidArgument);
}

TEST(Queue, KeepsBuffersAliveUntilTheirWorkIsDone) {
  Bench bench;
  Gate gate;
  const std::size_t before = bench.device->allocated_bytes();
  Ticket ticket = 0;
  {
    const Buffer dropped = bench.ints(1000, "dropped");
    const auto buffer = bench.queue.command_buffer("gated");
    buffer->encode("gate", {}, gate.kernel());
    buffer->encode("set", {{dropped, Access::write}}, sets(dropped, 1));
    ticket = bench.queue.commit(buffer);
  }
  EXPECT_EQ(bench.device->allocated_bytes(), before + 4000);
  gate.open();
  bench.queue.wait(ticket, WaitReason::evaluation);
  EXPECT_EQ(bench.device->allocated_bytes(), before);
}

TEST(Queue, TakesTenThousandSmallBuffers) {
  Bench bench;
  constexpr int kBuffers = 10'000;
  const Buffer sum = bench.ints(1, "sum");
  write_int(bench.queue, sum, 0);
  const std::size_t before = bench.device->allocated_bytes();
  for (int i = 0; i < kBuffers; ++i) {
    const Buffer one = bench.ints(1, "one");
    const auto buffer = bench.queue.command_buffer("add one");
    buffer->encode("set", {{one, Access::write}}, sets(one, i));
    buffer->encode("add", {{sum, Access::read_write}, {one, Access::read}}, folds(sum, one, 1));
    bench.queue.commit(buffer);
  }
  EXPECT_EQ(read_int(bench.queue, sum), kBuffers / 2 * (kBuffers - 1));
  EXPECT_EQ(bench.device->allocated_bytes(), before);
}

TEST(Queue, FinishesEverythingWhenDestroyed) {
  const auto device = Device::open("cpu");
  const Buffer sum = device->allocate(sizeof(std::int32_t), "sum");
  std::int32_t handlers = 0;
  *sum.host_write<std::int32_t>().data() = 0;
  {
    CommandQueue queue(device, {.max_in_flight = 100});
    const auto buffer = queue.command_buffer("slow");
    buffer->encode("sleep", {}, sleeps(1ms));
    buffer->encode("add", {{sum, Access::read_write}},
                   [sum](ExecutionContext&) { *sum.device_data<std::int32_t>() += 1; });
    buffer->add_completed_handler([&](const Completion&) { ++handlers; });
    for (int i = 0; i < 20; ++i) queue.commit(buffer);
  }
  EXPECT_EQ(sum.host_read<std::int32_t>()[0], 20);
  EXPECT_EQ(handlers, 20);
}

TEST(Queue, SeveralQueuesShareADevice) {
  const auto device = Device::open("cpu");
  CommandQueue first(device);
  CommandQueue second(device);
  const Buffer a = device->allocate(sizeof(std::int32_t), "a");
  const Buffer b = device->allocate(sizeof(std::int32_t), "b");
  const auto set_a = first.command_buffer("a");
  set_a->encode("set", {{a, Access::write}}, sets(a, 1));
  const auto set_b = second.command_buffer("b");
  set_b->encode("set", {{b, Access::write}}, sets(b, 2));
  first.commit(set_a);
  second.commit(set_b);
  EXPECT_EQ(read_int(first, a), 1);
  EXPECT_EQ(read_int(second, b), 2);
}

TEST(Queue, GivesKernelsTheDevicesThreads) {
  Bench bench({}, {.threads = 2});
  const Buffer counts = bench.ints(2, "counts");
  const auto buffer = bench.queue.command_buffer("parallel");
  buffer->encode("count", {{counts, Access::write}}, [counts](ExecutionContext& context) {
    auto* const out = counts.device_data<std::int32_t>();
    std::int32_t members = 0;
#pragma omp parallel reduction(+ : members)
    members += 1;
    out[0] = members;
    out[1] = cpu(context).threads();
  });
  bench.queue.commit(buffer);
  EXPECT_EQ(read_int(bench.queue, counts.slice(0, 4)), 2);
  EXPECT_EQ(read_int(bench.queue, counts.slice(4, 4)), 2);
}

TEST(Queue, KeepsKernelScratchAlignedAndCached) {
  Bench bench;
  const auto buffer = bench.queue.command_buffer("scratch");
  int made = 0;
  bool aligned = true;
  buffer->encode("scratch", {}, [&](ExecutionContext& context) {
    for (const std::size_t bytes : {1UL, 100UL, 100'000UL, 10UL}) {
      const auto bytes_given = cpu(context).scratch(bytes);
      aligned = aligned && bytes_given.size() == bytes &&
                reinterpret_cast<std::uintptr_t>(bytes_given.data()) % 64 == 0;
    }
    cpu(context).cached<int>("primitive", [&] { return ++made; });
  });
  bench.queue.commit(buffer);
  bench.queue.commit(buffer);
  bench.queue.wait_idle(WaitReason::evaluation);
  EXPECT_TRUE(aligned);
  EXPECT_EQ(made, 1);
}

}  // namespace
}  // namespace cajal::test
