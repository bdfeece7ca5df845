// Which recorded commands may run at once: never two of which one must follow the other.
#include "runtime/cuda/schedule.h"

#include <algorithm>
#include <optional>

#include "support.h"

namespace cajal::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Schedule : public ::testing::Test {
 protected:
  Buffer buffer(std::size_t bytes = 64) const { return device->allocate(bytes, "scheduled"); }
  void add(std::vector<BufferUse> uses) { commands.push_back({"op", std::move(uses), nothing()}); }
  /// Commands on the critical lane that touch nothing of the test's: each reads what the one before
  /// wrote.
  void add_chain(int length) {
    for (int i = 0; i < length; ++i) {
      const Buffer next = buffer();
      add({{link, Access::read}, {next, Access::write}});
      link = next;
    }
  }
  std::vector<ScheduledCommand> places() const { return schedule(commands); }

  std::shared_ptr<Device> device = Device::open("cpu", {.threads = 1});
  std::vector<Command> commands;
  Buffer link = buffer();
};

constexpr int kFar = kOverlappingCommands + 2;

TEST_F(Schedule, NothingIsScheduledForNothing) { EXPECT_THAT(places(), IsEmpty()); }

TEST_F(Schedule, AChainStaysOnItsLaneAndWaitsForNobody) {
  add_chain(3 * kFar);
  for (const ScheduledCommand& place : places()) {
    EXPECT_EQ(place.lane, kCriticalLane);
    EXPECT_THAT(place.waits_for, IsEmpty());
    EXPECT_FALSE(place.awaited);
  }
}

TEST_F(Schedule, WhatOnlyALateCommandReadsGoesBeside) {
  const Buffer gradient = buffer();
  add_chain(1);
  add({{link, Access::read}, {gradient, Access::write}});
  add_chain(kFar);
  add({{gradient, Access::read}, {link, Access::read_write}});
  const auto got = places();
  EXPECT_EQ(got[1].lane, kSideLane);
  EXPECT_THAT(got[1].waits_for, ElementsAre(0U));  // What it reads.
  EXPECT_TRUE(got[0].awaited);
  EXPECT_EQ(got.back().lane, kCriticalLane);
  EXPECT_THAT(got.back().waits_for, ElementsAre(1U));  // What it wrote.
  EXPECT_TRUE(got[1].awaited);
  for (std::size_t i = 2; i + 1 < got.size(); ++i) EXPECT_THAT(got[i].waits_for, IsEmpty()) << i;
}

TEST_F(Schedule, WhatIsReadSoonStays) {
  const Buffer value = buffer();
  add({{value, Access::write}});
  add_chain(kOverlappingCommands - 1);
  add({{value, Access::read}, {link, Access::read_write}});
  add_chain(kFar);
  EXPECT_EQ(places()[0].lane, kCriticalLane);
}

TEST_F(Schedule, WhatFillsTheDeviceStays) {
  const Buffer large = buffer(std::size_t{32} << 20);
  add({{large, Access::write}});
  add_chain(kFar);
  EXPECT_EQ(places()[0].lane, kCriticalLane);
}

TEST_F(Schedule, AWriterWaitsForAReaderBeside) {
  const Buffer value = buffer();
  add_chain(1);
  add({{value, Access::write}, {link, Access::read_write}});
  add({{value, Access::read}, {buffer(), Access::write}});  // Beside: nobody reads it.
  add({{value, Access::write}, {link, Access::read_write}});
  add_chain(2 * kFar);
  const auto got = places();
  ASSERT_EQ(got[2].lane, kSideLane);
  EXPECT_THAT(got[2].waits_for, ElementsAre(1U));
  EXPECT_EQ(got[3].lane, kCriticalLane);
  EXPECT_THAT(got[3].waits_for, ElementsAre(2U));
}

TEST_F(Schedule, AWriterWaitsForAWriterBeside) {
  const Buffer value = buffer();
  add_chain(1);
  add({{value, Access::write}});  // Beside: overwritten before it is read.
  add_chain(1);
  add({{value, Access::write}, {link, Access::read_write}});
  add({{value, Access::read}, {link, Access::read_write}});
  add_chain(2 * kFar);
  const auto got = places();
  ASSERT_EQ(got[1].lane, kSideLane);
  EXPECT_EQ(got[3].lane, kCriticalLane);
  EXPECT_THAT(got[3].waits_for, ElementsAre(1U));
}

TEST_F(Schedule, OnlyCommonBytesMakeAWait) {
  for (const std::size_t offset : {16U, 15U}) {
    commands.clear();
    const Buffer value = buffer();
    add_chain(1);
    add({{value.slice(0, 16), Access::write}});
    add_chain(kFar);
    add({{value.slice(offset, 16), Access::read}, {link, Access::read_write}});
    add_chain(kFar);
    const auto got = places();
    ASSERT_EQ(got[1].lane, kSideLane);
    const auto& waits = got[kFar + 2].waits_for;
    EXPECT_EQ(waits, offset == 16 ? std::vector<std::size_t>{} : std::vector<std::size_t>{1});
  }
}

TEST_F(Schedule, WaitsThatAreKnownAreLeftOut) {
  const Buffer value = buffer();
  add({{value, Access::write}});
  add_chain(kFar);
  for (int i = 0; i < 3; ++i) add({{value, Access::read}, {link, Access::read_write}});
  const auto got = places();
  ASSERT_EQ(got[0].lane, kSideLane);
  EXPECT_THAT(got[kFar + 1].waits_for, ElementsAre(0U));
  EXPECT_THAT(got[kFar + 2].waits_for, IsEmpty());
  EXPECT_THAT(got[kFar + 3].waits_for, IsEmpty());
}

bool conflict(const Command& a, const Command& b) {
  for (const BufferUse& mine : a.uses) {
    for (const BufferUse& other : b.uses) {
      const bool written = mine.access != Access::read || other.access != Access::read;
      if (written && mine.buffer.overlaps(other.buffer)) return true;
    }
  }
  return false;
}

/// after[j][i]: lanes and waits make command j follow command i, by way of others or not.
std::vector<std::vector<bool>> order_of(const std::vector<ScheduledCommand>& places) {
  std::vector<std::vector<bool>> after(places.size(), std::vector<bool>(places.size()));
  std::vector<std::optional<std::size_t>> last(kCudaLanes);
  for (std::size_t j = 0; j < places.size(); ++j) {
    std::vector<std::size_t> direct = places[j].waits_for;
    if (last[places[j].lane]) direct.push_back(*last[places[j].lane]);
    for (const std::size_t i : direct) {
      after[j][i] = true;
      for (std::size_t k = 0; k < i; ++k) after[j][k] = after[j][k] || after[i][k];
    }
    last[places[j].lane] = j;
  }
  return after;
}

class RandomSchedule : public Schedule {
 protected:
  /// Slices of a few allocations: odd ones that overlap in part, many uses of each command.
  void draw(std::mt19937_64& random) {
    commands.clear();
    const std::size_t allocations = 1 + random() % 40;
    const std::size_t count = 1 + random() % 120;
    std::vector<Buffer> buffers;
    for (std::size_t i = 0; i < allocations; ++i) buffers.push_back(buffer());
    for (std::size_t i = 0; i < count; ++i) {
      std::vector<BufferUse> uses;
      for (std::size_t n = random() % 5; n > 0; --n) {
        const std::size_t first = random() % 64;
        const std::size_t size = 1 + random() % (64 - first);
        uses.push_back({buffers[random() % allocations].slice(first, size),
                        static_cast<Access>(random() % 3)});
      }
      add(std::move(uses));
    }
  }
  void expect_well_formed(const std::vector<ScheduledCommand>& places) const {
    std::vector<bool> awaited(places.size());
    for (std::size_t i = 0; i < places.size(); ++i) {
      std::vector<bool> lanes(kCudaLanes);
      for (const std::size_t earlier : places[i].waits_for) {
        ASSERT_LT(earlier, i);
        ASSERT_NE(places[earlier].lane, places[i].lane);
        ASSERT_FALSE(lanes[places[earlier].lane]) << "two waits for one lane";
        lanes[places[earlier].lane] = true;
        awaited[earlier] = true;
      }
    }
    for (std::size_t i = 0; i < places.size(); ++i) ASSERT_EQ(places[i].awaited, awaited[i]) << i;
  }
};

TEST_F(RandomSchedule, EveryConflictingPairIsOrdered) {
  auto random = fresh_random();
  std::size_t beside = 0;
  std::size_t free_pairs = 0;
  for (int recording = 0; recording < 300; ++recording) {
    draw(random);
    const auto got = places();
    ASSERT_EQ(got.size(), commands.size());
    expect_well_formed(got);
    const auto after = order_of(got);
    for (std::size_t j = 0; j < got.size(); ++j) {
      beside += got[j].lane == kSideLane ? 1 : 0;
      for (std::size_t i = 0; i < j; ++i) {
        free_pairs += after[j][i] ? 0 : 1;
        ASSERT_TRUE(after[j][i] || !conflict(commands[i], commands[j])) << i << " and " << j;
      }
    }
  }
  EXPECT_GT(beside, 0U);
  EXPECT_GT(free_pairs, 0U) << "nothing ever ran side by side: the test saw nothing";
}

}  // namespace
}  // namespace cajal::test
