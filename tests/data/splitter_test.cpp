#include "data/splitter.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support.h"

namespace cajal::data {
namespace {

using Words = std::vector<std::string>;

Words split(std::string_view text) {
  const Splitter splitter;
  Splitter::Matcher matcher(splitter);
  Words words;
  for_each_word(text, matcher, [&](std::string_view word) { words.emplace_back(word); });
  return words;
}

/// By the regular expression alone.
Words split_by_pattern(std::string_view text, const Splitter& splitter) {
  Splitter::Matcher matcher(splitter);
  Words words;
  for (std::size_t position = 0; position < text.size();) {
    const std::size_t end = matcher.word_end(text, position);
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

TEST(Splitter, AsciiRulesAgreeWithThePattern) {
  test::Random random;
  const Splitter splitter;
  for (int trial = 0; trial < 3000; ++trial) {
    const std::string text = random.text(1 + random.below(30));
    ASSERT_EQ(split(text), split_by_pattern(text, splitter)) << text;
  }
  for (int trial = 0; trial < 3000; ++trial) {
    std::string text = random.bytes(1 + random.below(40));
    for (char& c : text) c = static_cast<char>(c & 0x7F);
    ASSERT_EQ(split(text), split_by_pattern(text, splitter));
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
