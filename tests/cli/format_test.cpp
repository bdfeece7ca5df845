// Numbers as people read them.
#include "cli/format.h"

#include <gtest/gtest.h>

#include <limits>

namespace cajal::cli {
namespace {

TEST(Format, Counts) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1234), "1.23k");
  EXPECT_EQ(format_count(12345), "12.3k");
  EXPECT_EQ(format_count(999499), "999k");
  EXPECT_EQ(format_count(999999), "1.00M");
  EXPECT_EQ(format_count(124e6), "124M");
  EXPECT_EQ(format_count(std::numeric_limits<double>::infinity()), "?");
}

TEST(Format, Bytes) {
  EXPECT_EQ(format_bytes(12), "12 B");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes(std::size_t{3} << 30), "3.0 GiB");
  EXPECT_EQ(format_bytes((std::size_t{1} << 20) - 1), "1.0 MiB");
}

TEST(Format, Durations) {
  EXPECT_EQ(format_duration(7.2), "0:07");
  EXPECT_EQ(format_duration(59.9), "1:00");
  EXPECT_EQ(format_duration(3723), "1:02:03");
  EXPECT_EQ(format_duration(3.2 * 86400), "3d 04h");
  EXPECT_EQ(format_duration(-1), "?");
  EXPECT_EQ(format_duration(1e300), "?");
}

TEST(Format, Integers) {
  EXPECT_EQ(format_integer(0), "0");
  EXPECT_EQ(format_integer(999), "999");
  EXPECT_EQ(format_integer(1000), "1 000");
  EXPECT_EQ(format_integer(-1234567), "-1 234 567");
}

TEST(Format, OneLine) {
  EXPECT_EQ(one_line("a\nb\r\n\tc \n"), "a b c");
  EXPECT_EQ(one_line("\n\n"), "");
}

}  // namespace
}  // namespace cajal::cli
