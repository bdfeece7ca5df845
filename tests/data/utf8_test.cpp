#include "data/utf8.h"

#include <gtest/gtest.h>

#include <string>

#include "support.h"

namespace cajal::data {
namespace {

std::string encode(char32_t c) {
  const auto byte = [](char32_t value) { return static_cast<char>(value); };
  if (c < 0x80) return {byte(c)};
  if (c < 0x800) return {byte(0xC0 | c >> 6), byte(0x80 | (c & 0x3F))};
  if (c < 0x10000) {
    return {byte(0xE0 | c >> 12), byte(0x80 | (c >> 6 & 0x3F)), byte(0x80 | (c & 0x3F))};
  }
  return {byte(0xF0 | c >> 18), byte(0x80 | (c >> 12 & 0x3F)), byte(0x80 | (c >> 6 & 0x3F)),
          byte(0x80 | (c & 0x3F))};
}

TEST(Utf8, AcceptsEveryCharacterAndNoSurrogate) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    const bool surrogate = c >= 0xD800 && c <= 0xDFFF;
    ASSERT_EQ(is_utf8(encode(c)), !surrogate) << std::hex << static_cast<std::uint32_t>(c);
  }
  EXPECT_FALSE(is_utf8(encode(0x110000)));
}

TEST(Utf8, RefusesOverlongAndBrokenForms) {
  for (const std::string bad :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80",
        "\xF5\x80\x80\x80", "\xC3", "\xE3\x81", "\xF0\x9F\x99", "\xC3(", "\xE3(\x81", "\xFF"}) {
    EXPECT_FALSE(is_utf8(bad));
    EXPECT_EQ(valid_utf8_prefix("ab é " + bad + " tail"), 6U);
    EXPECT_EQ(valid_utf8_prefix(std::string(70, 'a') + bad), 70U);
  }
}

TEST(Utf8, FindsWhatIsMissingAtTheEnd) {
  EXPECT_EQ(incomplete_tail(""), 0U);
  EXPECT_EQ(incomplete_tail("abc"), 0U);
  EXPECT_EQ(incomplete_tail("é"), 0U);
  EXPECT_EQ(incomplete_tail("a\xC3"), 1U);
  EXPECT_EQ(incomplete_tail("a\xE3\x81"), 2U);
  EXPECT_EQ(incomplete_tail("a\xF0\x9F\x99"), 3U);
  EXPECT_EQ(incomplete_tail("\x80\x80\x80\x80"), 0U);
}

TEST(Utf8, CutsBeforeALineEndThatFollowsSomethingVisible) {
  EXPECT_EQ(cut_point("one\ntwo\nthr"), 7U);
  EXPECT_EQ(cut_point("one\n\n\nt"), 3U);
  EXPECT_EQ(cut_point("one two thr"), 7U);
  EXPECT_EQ(cut_point("one two  \n th"), 7U);
  EXPECT_EQ(cut_point("日本\n日"), 6U);
  EXPECT_EQ(cut_point("日本\u3000\n日"), 13U) << "an ideographic space is not visible";
}

TEST(Utf8, CutsBetweenCharactersWhereThereIsNoBlank) {
  EXPECT_EQ(cut_point("onetwo"), 6U);
  EXPECT_EQ(cut_point("one\xE3\x81"), 3U);
  EXPECT_EQ(cut_point("      "), 6U);
}

}  // namespace
}  // namespace cajal::data
