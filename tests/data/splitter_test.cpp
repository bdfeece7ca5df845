#include "data/splitter.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <gtest/gtest.h>
#include <pcre2.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "support.h"

namespace cajal::data {
namespace {

using Words = std::vector<std::string>;

Words split(std::string_view text) {
  Words words;
  for_each_word(text, [&](std::string_view word) { words.emplace_back(word); });
  return words;
}

/// By PCRE2 and the regular expression alone.
Words split_by_pattern(std::string_view text) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  const std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)> code(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(kSplitPattern), PCRE2_ZERO_TERMINATED,
                    PCRE2_UTF | PCRE2_ANCHORED, &error, &offset, nullptr),
      &pcre2_code_free);
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match(
      pcre2_match_data_create(1, nullptr), &pcre2_match_data_free);
  Words words;
  for (std::size_t position = 0; position < text.size();) {
    const int found = pcre2_match(code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
                                  text.size(), position, PCRE2_NO_UTF_CHECK, match.get(), nullptr);
    if (found < 1) throw std::runtime_error("PCRE2 found no word");
    const std::size_t end = pcre2_get_ovector_pointer(match.get())[1];
    words.emplace_back(text.substr(position, end - position));
    position = end;
  }
  return words;
}

TEST(Splitter, SplitsAsGpt2Does) {
  EXPECT_EQ(split("Hello world"), (Words{"Hello", " world"}));
  EXPECT_EQ(split("it's we'll they're"), (Words{"it", "'s", " we", "'ll", " they", "'re"}));
  EXPECT_EQ(split("'S"), (Words{"'", "S"}));
  EXPECT_EQ(split("a  b"), (Words{"a", " ", " b"}));
  EXPECT_EQ(split("a \n b"), (Words{"a", " \n", " b"}));
  EXPECT_EQ(split("a\nb"), (Words{"a", "\n", "b"}));
  EXPECT_EQ(split("x1 == 22;"), (Words{"x", "1", " ==", " 22", ";"}));
  EXPECT_EQ(split("end  "), (Words{"end", "  "}));
  EXPECT_EQ(split("Größe 日本"), (Words{"Größe", " 日本"}));
  EXPECT_EQ(split(""), Words{});
}

TEST(Splitter, TakesEachBrokenByteForAWord) {
  EXPECT_EQ(split("ab\xFF\xC3(cd"), (Words{"ab", "\xFF", "\xC3", "(", "cd"}));
}

TEST(Splitter, AgreesWithThePattern) {
  test::Random random;
  for (int trial = 0; trial < 3000; ++trial) {
    const std::string text = random.text(1 + random.below(30));
    ASSERT_EQ(split(text), split_by_pattern(text)) << text;
  }
  for (int trial = 0; trial < 3000; ++trial) {
    std::string text = random.bytes(1 + random.below(40));
    for (char& c : text) c = static_cast<char>(c & 0x7F);
    ASSERT_EQ(split(text), split_by_pattern(text));
  }
}

TEST(Splitter, AgreesWithThePatternOnEveryCharacter) {
  std::string text;
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    append_utf8(c, text);
    if (c % 3 == 0) text += ' ';
  }
  EXPECT_TRUE(split(text) == split_by_pattern(text));
  test::Random random;
  for (int trial = 0; trial < 3000; ++trial) {
    std::string some;
    for (std::size_t i = 1 + random.below(30); i > 0; --i) {
      // Most of the lower planes' first half has letters, signs, digits and blanks close together.
      const std::size_t c = random.below(random.below(2) == 0 ? 0x3100 : 0xD800);
      append_utf8(static_cast<char32_t>(c), some);
      if (random.below(3) == 0) some += random.pick<std::string>({" ", "\u00a0", "\n", "'s"});
    }
    ASSERT_EQ(split(some), split_by_pattern(some)) << some;
  }
}

TEST(Splitter, CutsLeaveWordsWhole) {
  test::Random random;
  for (int trial = 0; trial < 2000; ++trial) {
    const std::string text = random.text(40) + "x\n";
    const std::size_t cut = cut_point(text);
    Words words = split(text.substr(0, cut));
    const Words after = split(text.substr(cut));
    words.insert(words.end(), after.begin(), after.end());
    ASSERT_EQ(words, split(text)) << text;
  }
}

TEST(Splitter, TakesLongRuns) {
  const std::string letters(1 << 20, 'a');
  EXPECT_EQ(split(letters), Words{letters});
  std::string accents;
  for (int i = 0; i < 1 << 18; ++i) accents += "é";
  EXPECT_EQ(split(accents), Words{accents});
  std::string blanks;
  for (int i = 0; i < 1 << 18; ++i) blanks += "\u3000";
  EXPECT_EQ(split(blanks), Words{blanks});
}

}  // namespace
}  // namespace cajal::data
