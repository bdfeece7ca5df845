// Order, replay and waits on a CUDA card.
#include "cuda_fixture.h"
#include "runtime/memory_plan.h"

namespace cajal::test {
namespace {

class CudaQueueOrder : public CudaQueueTest {
 protected:
  /// The commands to = to * factor + from over `buffers`, as the host would do them.
  struct Fold {
    std::size_t to = 0;
    std::size_t from = 0;
    std::int32_t factor = 1;
  };
  static void fold_on_host(std::vector<Ints>& values, const Fold& fold) {
    for (std::size_t i = 0; i < values[fold.to].size(); ++i) {
      const auto to = static_cast<std::uint32_t>(values[fold.to][i]);
      const auto from = static_cast<std::uint32_t>(values[fold.from][i]);
      values[fold.to][i] =
          static_cast<std::int32_t>(to * static_cast<std::uint32_t>(fold.factor) + from);
    }
  }
  std::shared_ptr<CommandBuffer> record(const std::vector<Buffer>& buffers,
                                        const std::vector<Fold>& folds) const {
    const auto commands = queue->command_buffer("folds");
    for (const Fold& fold : folds) {
      commands->encode("fold",
                       {{buffers[fold.to], Access::read_write}, {buffers[fold.from], Access::read}},
                       cuda_folds(buffers[fold.to], buffers[fold.from], fold.factor));
    }
    return commands;
  }
  static std::vector<Fold> random_folds(std::size_t count, std::size_t buffers,
                                        std::mt19937_64& random) {
    std::vector<Fold> folds;
    while (folds.size() < count) {
      const Fold fold{random() % buffers, random() % buffers,
                      static_cast<std::int32_t>(random() % 1000)};
      if (fold.to != fold.from) folds.push_back(fold);
    }
    return folds;
  }
};

TEST_F(CudaQueueOrder, EveryReplayGivesTheBitsOfTheFirstRun) {
  const Buffer value = ints(1000);
  const Buffer input = ints_of(Ints(1000, 3));
  const Ints start(1000, 1);
  const std::vector<Fold> folds{{0, 1, 5}, {0, 1, 7}, {1, 0, 2}, {0, 1, 11}};
  const auto commands = record({value, input}, folds);
  std::vector<Ints> want{start, Ints(1000, 3)};
  for (const Fold& fold : folds) fold_on_host(want, fold);
  for (int commit = 0; commit < 5; ++commit) {
    write(value, start);
    write(input, Ints(1000, 3));
    run(commands);
    EXPECT_EQ(read(value), want[0]) << "commit " << commit;
    EXPECT_EQ(read(input), want[1]) << "commit " << commit;
  }
}

/// Results that hang on the order of all commands, some of which may run side by side.
TEST_F(CudaQueueOrder, RandomRecordingsGiveWhatTheHostComputes) {
  auto random = fresh_random();
  for (int recording = 0; recording < 20; ++recording) {
    const std::size_t count = 3 + random() % 30;
    std::vector<Buffer> buffers;
    std::vector<Ints> want;
    for (std::size_t i = 0; i < count; ++i) {
      want.emplace_back(257, static_cast<std::int32_t>(random() % 100));
      buffers.push_back(ints_of(want.back()));
    }
    const auto folds = random_folds(60, count, random);
    const auto commands = record(buffers, folds);
    for (int commit = 0; commit < 4; ++commit) {
      queue->commit(commands);
      for (const Fold& fold : folds) fold_on_host(want, fold);
    }
    for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(read(buffers[i]), want[i]) << "buffer " << i;
  }
}

TEST_F(CudaQueueOrder, TwoRecordingsInTurnKeepTheirOrder) {
  const Buffer value = ints_of({1});
  const Buffer one = ints_of({1});
  const auto triple = record({value, one}, {{0, 1, 3}});
  const auto fivefold = record({value, one}, {{0, 1, 5}});
  std::uint32_t want = 1;
  for (int i = 0; i < 200; ++i) {
    queue->commit(i % 3 == 0 ? triple : fivefold);
    want = want * (i % 3 == 0 ? 3U : 5U) + 1;
  }
  EXPECT_EQ(read(value), (Ints{static_cast<std::int32_t>(want)}));
}

TEST_F(CudaQueueOrder, EveryOpGivesTheSameBits) {
  auto random = fresh_random();
  const auto folds = random_folds(40, 6, random);
  std::vector<std::vector<Ints>> results;
  for (const SyncMode mode : {SyncMode::step, SyncMode::every_op}) {
    open_queue({.sync = mode});
    std::vector<Buffer> buffers;
    for (std::int32_t i = 0; i < 6; ++i) buffers.push_back(ints_of(Ints(100, i)));
    const auto commands = record(buffers, folds);
    for (int commit = 0; commit < 3; ++commit) queue->commit(commands);
    results.emplace_back();
    for (const Buffer& buffer : buffers) results.back().push_back(read(buffer));
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST_F(CudaQueueOrder, TracedCommitsGiveTheSameBits) {
  const Buffer value = ints_of({1});
  const Buffer one = ints_of({1});
  const auto commands = record({value, one}, {{0, 1, 3}});
  for (int i = 0; i < 3; ++i) queue->commit(commands);
  queue->timeline().start_trace();
  for (int i = 0; i < 3; ++i) queue->commit(commands);
  EXPECT_EQ(read(value), (Ints{1093}));  // Six times 3 x + 1.
}

TEST_F(CudaQueueOrder, EachCommitTakesItsOwnInput) {
  const Buffer value = ints_of({0});
  const Buffer input = ints(1);
  const auto commands = record({value, input}, {{0, 1, 10}});
  Ints seen;
  Ints want;
  std::uint32_t model = 0;
  for (std::int32_t step = 1; step <= 50; ++step) {
    queue->begin_step(step);
    const auto up = device->staging(4);
    std::memcpy(up->data, &step, 4);
    const auto down = device->staging(4);
    queue->commit(commands, {.uploads = {{up, input}},
                             .downloads = {{value, down}},
                             .completed = [&seen, down](const Completion&) {
                               std::int32_t got = 0;
                               std::memcpy(&got, down->data, 4);
                               seen.push_back(got);
                             }});
    model = model * 10 + static_cast<std::uint32_t>(step);
    want.push_back(static_cast<std::int32_t>(model));
  }
  queue->wait_idle(WaitReason::shutdown);
  EXPECT_EQ(seen, want);
}

TEST_F(CudaQueueOrder, HostWaitsAtMostOnceAStep) {
  const auto commands = queue->command_buffer("busy");
  commands->encode("spin", {}, cuda_spins(2ms));
  const Usage before = queue->usage();
  for (int step = 1; step <= 12; ++step) {
    queue->begin_step(step);
    queue->commit(commands);
  }
  const Usage used = queue->usage() - before;
  EXPECT_LE(used.host_waits(), 12);
  EXPECT_GE(used.waits[static_cast<std::size_t>(WaitReason::back_pressure)].count, 8);
  EXPECT_EQ(used.host_waits(),
            used.waits[static_cast<std::size_t>(WaitReason::back_pressure)].count);
  queue->wait_idle(WaitReason::shutdown);
}

TEST_F(CudaQueueOrder, MemoryLivesUntilTheLastReplayHasCompleted) {
  const std::size_t held = device->allocated_bytes();
  const auto down = device->staging(4);
  {
    const Buffer value = ints_of({0});
    const auto commands = queue->command_buffer("spin and set");
    commands->encode("spin", {}, cuda_spins(20ms));
    commands->encode("set", {{value, Access::write}}, cuda_sets(value, 42));
    queue->commit(commands);
    queue->commit(commands);
    queue->commit(commands, {.downloads = {{value, down}}});
  }
  // Neither fresh memory nor fresh content may get in the way.
  for (int i = 0; i < 8; ++i) ints_of({-1});
  queue->wait_idle(WaitReason::evaluation);
  std::int32_t got = 0;
  std::memcpy(&got, down->data, 4);
  EXPECT_EQ(got, 42);
  EXPECT_EQ(device->allocated_bytes(), held);
}

TEST_F(CudaQueueOrder, PlannedMemoryIsSharedAndRight) {
  const Buffer start = ints_of(Ints(5000, 7));
  const Buffer result = ints(5000);
  const auto commands = queue->command_buffer("planned");
  Buffer last = start;
  for (int i = 0; i < 40; ++i) {
    const Buffer next = i == 39 ? result : device->reserve(20'000, "link " + std::to_string(i));
    commands->encode("set", {{next, Access::write}}, cuda_sets(next, i));
    commands->encode("fold", {{next, Access::read_write}, {last, Access::read}},
                     cuda_folds(next, last, 3));
    last = next;
  }
  MemoryPlan plan({commands});
  plan.bind(*device);
  EXPECT_LT(plan.arena_bytes(), plan.total_bytes());
  std::uint32_t want = 7;
  for (std::uint32_t i = 0; i < 40; ++i) want += 3 * i;
  for (int commit = 0; commit < 3; ++commit) {
    write(result, Ints(5000, -1));
    run(commands);
    ASSERT_EQ(read(result), Ints(5000, static_cast<std::int32_t>(want))) << "commit " << commit;
  }
}

}  // namespace
}  // namespace cajal::test
