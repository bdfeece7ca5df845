#include "runtime/memory_plan.h"

#include "support.h"

namespace cajal::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// Every two buffers in use at once have bytes of their own.
void expect_disjoint(const std::vector<std::shared_ptr<CommandBuffer>>& recorded,
                     const std::vector<Buffer>& buffers) {
  for (const auto& commands : recorded) {
    std::vector<std::pair<std::size_t, std::size_t>> lives(buffers.size(), {SIZE_MAX, 0});
    for (std::size_t i = 0; i < commands->commands().size(); ++i) {
      for (const BufferUse& use : commands->commands()[i].uses) {
        for (std::size_t b = 0; b < buffers.size(); ++b) {
          if (use.buffer.storage() != buffers[b].storage()) continue;
          lives[b].first = std::min(lives[b].first, i);
          lives[b].second = i;
        }
      }
    }
    for (std::size_t a = 0; a < buffers.size(); ++a) {
      for (std::size_t b = a + 1; b < buffers.size(); ++b) {
        if (lives[a].first == SIZE_MAX || lives[b].first == SIZE_MAX) continue;
        const bool together =
            lives[a].first <= lives[b].second && lives[b].first <= lives[a].second;
        ASSERT_FALSE(together && buffers[a].overlaps(buffers[b])) << a << " and " << b;
      }
    }
  }
}

TEST(MemoryPlan, SharesBytesBetweenLivesThatDoNotOverlap) {
  Bench bench;
  const Buffer a = bench.device->reserve(640, "a");
  const Buffer b = bench.device->reserve(640, "b");
  const Buffer c = bench.device->reserve(640, "c");
  const auto commands = bench.queue.command_buffer("chain");
  commands->encode("make a", {{a, Access::write}}, nothing());
  commands->encode("a to b", {{a, Access::read}, {b, Access::write}}, nothing());
  commands->encode("b to c", {{b, Access::read}, {c, Access::write}}, nothing());
  MemoryPlan plan({commands});
  EXPECT_EQ(plan.total_bytes(), 1920U);
  EXPECT_EQ(plan.arena_bytes(), 1280U);
  plan.bind(*bench.device);
  EXPECT_TRUE(a.overlaps(c));
  EXPECT_FALSE(a.overlaps(b));
  EXPECT_FALSE(b.overlaps(c));
  EXPECT_EQ(bench.device->allocated_bytes(), 1280U);
}

TEST(MemoryPlan, NeverOverlapsLiveBuffersWhateverTheLives) {
  auto random = fresh_random();
  const auto below = [&](std::size_t bound) { return static_cast<std::size_t>(random() % bound); };
  for (int round = 0; round < 100; ++round) {
    Bench bench;
    std::vector<Buffer> buffers;
    for (std::size_t i = 0; i < 30; ++i)
      buffers.push_back(bench.device->reserve(1 + below(5000), "b"));
    std::vector<std::shared_ptr<CommandBuffer>> recorded;
    for (std::size_t which = 0; which < 1 + below(3); ++which) {
      const auto commands = bench.queue.command_buffer("random");
      std::vector<std::vector<BufferUse>> uses(20);
      for (const Buffer& buffer : buffers) {
        if (below(4) == 0) continue;
        const std::size_t first = below(20);
        const std::size_t last = first + below(20 - first);
        uses[first].push_back({buffer, Access::write});
        if (last != first) uses[last].push_back({buffer, Access::read});
      }
      for (auto& use : uses) commands->encode("op", std::move(use), nothing());
      recorded.push_back(commands);
    }
    MemoryPlan plan(recorded);
    EXPECT_LE(plan.arena_bytes(), plan.total_bytes());
    plan.bind(*bench.device);
    for (const Buffer& buffer : buffers) {
      if (!buffer.device_data<std::byte>()) continue;
      ASSERT_EQ(reinterpret_cast<std::uintptr_t>(buffer.device_data<std::byte>()) % 64, 0U);
    }
    expect_disjoint(recorded, buffers);
    if (HasFatalFailure()) return;
  }
}

TEST(MemoryPlan, GivesABufferOfTwoRecordingsOnePlaceGoodInBoth) {
  Bench bench;
  const Buffer shared = bench.device->reserve(64, "shared");
  const Buffer early = bench.device->reserve(128, "early");
  const Buffer late = bench.device->reserve(128, "late");
  const auto train = bench.queue.command_buffer("train");
  train->encode("early", {{early, Access::write}}, nothing());
  train->encode("shared", {{shared, Access::write}}, nothing());
  const auto evaluate = bench.queue.command_buffer("evaluate");
  evaluate->encode("shared", {{shared, Access::write}}, nothing());
  evaluate->encode("late", {{late, Access::write}, {shared, Access::read}}, nothing());
  MemoryPlan plan({train, evaluate});
  plan.bind(*bench.device);
  EXPECT_FALSE(shared.overlaps(late));
  EXPECT_TRUE(early.overlaps(late));  // Of different recordings, which never run at once.
  EXPECT_EQ(plan.arena_bytes(), 192U);
}

TEST(MemoryPlan, RunsWhatItPlanned) {
  Bench bench;
  const Buffer out = bench.ints(1, "out");
  const Buffer a = bench.device->reserve(4, "a");
  const Buffer b = bench.device->reserve(4, "b");
  const auto commands = bench.queue.command_buffer("run");
  commands->encode("a", {{a, Access::write}}, sets(a, 20));
  commands->encode("b", {{b, Access::write}}, sets(b, 2));
  commands->encode("fold", {{a, Access::read_write}, {b, Access::read}}, folds(a, b, 2));
  commands->encode("out", {{a, Access::read}, {out, Access::write}}, [a, out](ExecutionContext&) {
    *out.device_data<std::int32_t>() = *a.device_data<std::int32_t>();
  });
  EXPECT_THAT(error_of([&] { bench.queue.commit(commands); }),
              AllOf(HasSubstr("'a'"), HasSubstr("no memory yet")));
  MemoryPlan plan({commands});
  plan.bind(*bench.device);
  bench.queue.commit(commands);
  EXPECT_EQ(read_int(bench.queue, out), 42);
}

TEST(MemoryPlan, RefusesUseBeforeAnyWrite) {
  Bench bench;
  for (const Access access : {Access::read, Access::read_write}) {
    const Buffer scratch = bench.device->reserve(64, "scratch");
    const auto commands = bench.queue.command_buffer("train step");
    commands->encode("softmax", {{scratch, access}}, nothing());
    EXPECT_THAT(error_of([&] { MemoryPlan plan({commands}); }),
                AllOf(HasSubstr("'softmax'"), HasSubstr("'train step'"), HasSubstr("'scratch'")));
  }
}

TEST(MemoryPlan, RefusesUseOfTheBytesThatWereNotWritten) {
  Bench bench;
  const Buffer scratch = bench.device->reserve(64, "scratch");
  const auto half = bench.queue.command_buffer("half");
  half->encode("write", {{scratch.slice(0, 32), Access::write}}, nothing());
  half->encode("read", {{scratch, Access::read}}, nothing());
  EXPECT_THROW(MemoryPlan({half}), Error);
  const auto both = bench.queue.command_buffer("both");
  both->encode("lower", {{scratch.slice(0, 32), Access::write}}, nothing());
  both->encode("upper", {{scratch.slice(32, 32), Access::write}}, nothing());
  both->encode("read", {{scratch, Access::read}}, nothing());
  EXPECT_NO_THROW(MemoryPlan({both}));
}

TEST(MemoryPlan, ForgetsBetweenRecordings) {
  Bench bench;
  const Buffer scratch = bench.device->reserve(64, "scratch");
  const auto writes = bench.queue.command_buffer("writes");
  writes->encode("write", {{scratch, Access::write}}, nothing());
  const auto reads = bench.queue.command_buffer("reads");
  reads->encode("read", {{scratch, Access::read}}, nothing());
  EXPECT_THROW(MemoryPlan({writes, reads}), Error);
}

TEST(MemoryPlan, LeavesAllocatedBuffersAlone) {
  Bench bench;
  const Buffer weights = bench.ints(1, "weights");
  const auto commands = bench.queue.command_buffer("c");
  commands->encode("read", {{weights, Access::read}}, nothing());
  MemoryPlan plan({commands});
  EXPECT_EQ(plan.total_bytes(), 0U);
  EXPECT_NO_THROW(plan.bind(*bench.device));
}

TEST(MemoryPlan, BindsOnce) {
  Bench bench;
  const Buffer scratch = bench.device->reserve(64, "scratch");
  const auto commands = bench.queue.command_buffer("c");
  commands->encode("write", {{scratch, Access::write}}, nothing());
  MemoryPlan plan({commands});
  MemoryPlan rival({commands});
  plan.bind(*bench.device);
  EXPECT_THROW(plan.bind(*bench.device), Error);
  EXPECT_THROW(rival.bind(*bench.device), Error);
}

TEST(MemoryPlan, LetsNobodyElseUseWhatItPlaced) {
  Bench bench;
  const Buffer scratch = bench.device->reserve(64, "scratch");
  const auto planned = bench.queue.command_buffer("planned");
  planned->encode("write", {{scratch, Access::write}}, nothing());
  MemoryPlan({planned}).bind(*bench.device);
  const auto stranger = bench.queue.command_buffer("stranger");
  stranger->encode("late write", {{scratch, Access::write}}, nothing());
  EXPECT_THAT(error_of([&] { MemoryPlan plan({stranger}); }),
              AllOf(HasSubstr("'late write'"), HasSubstr("another memory plan has placed")));
  EXPECT_THAT(error_of([&] { bench.queue.commit(stranger); }),
              AllOf(HasSubstr("'late write'"), HasSubstr("not in its memory plan")));
  planned->encode("added", {{scratch, Access::read}}, nothing());
  EXPECT_THAT(error_of([&] { bench.queue.commit(planned); }),
              AllOf(HasSubstr("'added'"), HasSubstr("not in its memory plan")));
}

TEST(MemoryPlan, RefusesToBindWhatWasRecordedFurther) {
  Bench bench;
  const Buffer scratch = bench.device->reserve(64, "scratch");
  const auto commands = bench.queue.command_buffer("step");
  commands->encode("write", {{scratch, Access::write}}, nothing());
  MemoryPlan plan({commands});
  commands->encode("read", {{scratch, Access::read}}, nothing());
  EXPECT_THAT(error_of([&] { plan.bind(*bench.device); }),
              HasSubstr("'step' was recorded further"));
}

TEST(MemoryPlan, KeepsTheArenaAsLongAsABuffer) {
  Bench bench;
  Buffer scratch = bench.device->reserve(64, "scratch");
  {
    const auto commands = bench.queue.command_buffer("c");
    commands->encode("write", {{scratch, Access::write}}, nothing());
    MemoryPlan plan({commands});
    plan.bind(*bench.device);
  }
  EXPECT_EQ(bench.device->allocated_bytes(), 64U);
  std::memset(scratch.host_write<std::byte>().data(), 1, 64);
  scratch = Buffer();
  EXPECT_EQ(bench.device->allocated_bytes(), 0U);
}

TEST(MemoryPlan, RefusesTransfersOfPlannedBuffers) {
  Bench bench;
  const Buffer scratch = bench.device->reserve(64, "scratch");
  const auto commands = bench.queue.command_buffer("c");
  commands->encode("write", {{scratch, Access::write}}, nothing());
  MemoryPlan plan({commands});
  plan.bind(*bench.device);
  const auto block = bench.device->staging(64);
  EXPECT_THAT(error_of([&] {
                bench.queue.commit(commands, {.downloads = {{scratch, block}}});
              }),
              HasSubstr("planned buffer 'scratch'"));
}

TEST(MemoryPlan, DescribesEveryBuffer) {
  Bench bench;
  const Buffer a = bench.device->reserve(100, "residual");
  const auto commands = bench.queue.command_buffer("c");
  commands->encode("first", {}, nothing());
  commands->encode("write", {{a, Access::write}}, nothing());
  commands->encode("read", {{a, Access::read}}, nothing());
  const std::string text = MemoryPlan({commands}).describe();
  EXPECT_THAT(text, AllOf(HasSubstr("residual"), HasSubstr("100 bytes"), HasSubstr("[0: 1-2]")));
}

}  // namespace
}  // namespace cajal::test
