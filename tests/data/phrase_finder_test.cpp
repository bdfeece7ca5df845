#include "data/phrase_finder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <tuple>
#include <vector>

#include "support.h"

namespace cajal::data {
namespace {

using Found = std::tuple<std::size_t, std::size_t, std::size_t>;

std::vector<Found> as_tuples(const std::vector<PhraseFinder::Found>& found) {
  std::vector<Found> tuples;
  for (const auto& f : found) tuples.emplace_back(f.begin, f.end, f.phrase);
  return tuples;
}

/// Tries every phrase at every place.
std::vector<Found> reference(const std::vector<std::string>& phrases, std::string_view text) {
  std::vector<Found> found;
  for (std::size_t position = 0; position < text.size();) {
    std::size_t length = 0;
    std::size_t best = 0;
    for (std::size_t i = 0; i < phrases.size(); ++i) {
      if (phrases[i].size() > length && text.substr(position).starts_with(phrases[i])) {
        length = phrases[i].size();
        best = i;
      }
    }
    if (length > 0) found.emplace_back(position, position + length, best);
    position += std::max<std::size_t>(length, 1);
  }
  return found;
}

TEST(PhraseFinder, AgreesWithASlowReference) {
  test::Random random;
  for (int trial = 0; trial < 3000; ++trial) {
    std::vector<std::string> phrases(random.below(8));
    for (std::string& phrase : phrases) {
      for (std::size_t i = random.below(6); i > 0; --i) {
        phrase += random.pick<std::string>({"a", "b", "c"});
      }
    }
    std::string text;
    for (std::size_t i = random.below(60); i > 0; --i) {
      text += random.pick<std::string>({"a", "b", "c", "d"});
    }
    const PhraseFinder finder(phrases);
    ASSERT_EQ(as_tuples(finder.leftmost_longest(text)), reference(phrases, text)) << text;
  }
}

TEST(PhraseFinder, FindsTheLongestAtEveryPlace) {
  const PhraseFinder finder({"ab", "abc", "b", "", "ab"});
  EXPECT_EQ(as_tuples(finder.all("abcb")), (std::vector<Found>{{3, 4, 2}, {1, 2, 2}, {0, 3, 1}}));
  EXPECT_EQ(finder.longest(), 3U);
  EXPECT_TRUE(PhraseFinder({""}).empty());
  EXPECT_TRUE(PhraseFinder({}).all("text").empty());
}

double seconds(const PhraseFinder& finder, const std::string& text) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(finder.leftmost_longest(text).empty());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Trying every phrase or every start would take minutes here.
TEST(PhraseFinder, ManyLongPhrasesDoNotMakeItSlow) {
  std::vector<std::string> phrases{"b"};
  for (int i = 1; i < 10'000; ++i) phrases.push_back("a" + std::to_string(i));
  phrases.push_back(std::string(5000, 'a') + "c");
  phrases.push_back("c" + std::string(5000, 'a'));
  const PhraseFinder finder(phrases);
  EXPECT_LT(seconds(finder, std::string(4'000'000, 'a') + "b"), 10.0);
}

}  // namespace
}  // namespace cajal::data
