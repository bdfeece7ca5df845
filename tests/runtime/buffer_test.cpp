#include "cajal/buffer.h"

#include "runtime/byte_ranges.h"
#include "support.h"

namespace cajal::test {
namespace {

TEST(Buffer, DefaultIsAbsent) {
  const Buffer absent;
  EXPECT_FALSE(absent);
  EXPECT_EQ(absent.size(), 0U);
  EXPECT_EQ(absent.label(), "");
  EXPECT_EQ(absent.device_data<int>(), nullptr);
}

TEST(Buffer, SlicesShareMemory) {
  const auto device = Device::open("cpu");
  const Buffer whole = device->allocate(64, "whole");
  const Buffer part = whole.slice(16, 32).slice(8, 4);
  EXPECT_EQ(part.label(), "whole");
  EXPECT_EQ(part.offset(), 24U);
  EXPECT_EQ(part.device_data<std::byte>(), whole.device_data<std::byte>() + 24);
}

TEST(Buffer, RefusesSlicesThatReachOutside) {
  const auto device = Device::open("cpu");
  const Buffer whole = device->allocate(64, "whole");
  EXPECT_NO_THROW(whole.slice(64, 0));
  EXPECT_THROW(whole.slice(60, 5), InvalidArgument);
  EXPECT_THROW(whole.slice(65, 0), InvalidArgument);
  EXPECT_THROW(whole.slice(8, SIZE_MAX), InvalidArgument);
  EXPECT_THROW(whole.slice(0, 32).slice(0, 33), InvalidArgument);
}

TEST(Buffer, OverlapsWhenAByteIsCommon) {
  const auto device = Device::open("cpu");
  const Buffer whole = device->allocate(64, "whole");
  EXPECT_TRUE(whole.slice(0, 33).overlaps(whole.slice(32, 32)));
  EXPECT_FALSE(whole.slice(0, 32).overlaps(whole.slice(32, 32)));
  EXPECT_FALSE(whole.slice(8, 0).overlaps(whole));
  EXPECT_FALSE(whole.overlaps(device->allocate(64, "other")));
  EXPECT_FALSE(whole.overlaps(Buffer()));
  const Buffer planned = device->reserve(64, "planned");
  EXPECT_TRUE(planned.slice(0, 8).overlaps(planned));
  EXPECT_FALSE(planned.overlaps(whole));
}

TEST(ByteRanges, CoverWhatWasAddedAndNoMore) {
  auto random = fresh_random();
  for (int round = 0; round < 200; ++round) {
    ByteRanges ranges;
    std::vector<bool> reference(64, false);
    for (int i = 0; i < 8; ++i) {
      const std::size_t begin = random() % 64;
      const std::size_t end = begin + random() % (65 - begin);
      ranges.add(begin, end);
      std::fill(reference.begin() + static_cast<std::ptrdiff_t>(begin),
                reference.begin() + static_cast<std::ptrdiff_t>(end), true);
    }
    for (std::size_t begin = 0; begin < 64; ++begin) {
      bool covered = true;
      for (std::size_t end = begin + 1; end <= 64; ++end) {
        covered = covered && reference[end - 1];
        ASSERT_EQ(ranges.cover(begin, end), covered) << begin << " to " << end;
      }
    }
  }
}

}  // namespace
}  // namespace cajal::test
