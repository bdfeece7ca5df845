// The fuzzers' seeds, and small changes of them, through the same functions in an ordinary build:
// the contracts of every reader hold without clang and without time. scripts/fuzz.sh looks much
// further.
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <exception>
#include <filesystem>
#include <random>
#include <regex>
#include <string>
#include <utility>
#include <vector>

#include "support.h"
#include "targets.h"

namespace cajal::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr unsigned kSeed = 20'261;
constexpr int kChangesOfASeed = 40;

std::vector<fs::path> seeds_of(std::string_view target) {
  std::vector<fs::path> seeds;
  for (const auto& entry : fs::directory_iterator(fs::path(CAJAL_FUZZ_CORPUS) / target)) {
    seeds.push_back(entry.path());
  }
  std::sort(seeds.begin(), seeds.end());
  return seeds;
}

/// `input` cut, with a byte changed, or with a part of itself put elsewhere.
std::string changed(std::string input, std::mt19937& random) {
  if (input.empty()) return input;
  const auto any = [&](std::size_t bound) {
    return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random);
  };
  const std::size_t place = any(input.size());
  switch (any(4)) {
    case 0:
      return input.substr(0, place);
    case 1:
      input[place] = static_cast<char>(any(256));
      return input;
    case 2:
      return input.erase(place, 1 + any(8));
    default:
      return input.insert(place, input.substr(any(input.size()), 1 + any(16)));
  }
}

class Replay : public testing::TestWithParam<Target> {};

TEST_P(Replay, SeedsKeepTheContract) {
  const auto seeds = seeds_of(GetParam().name);
  ASSERT_GE(seeds.size(), 4U);
  for (const fs::path& seed : seeds) {
    EXPECT_NO_THROW(GetParam().run(contents_of(seed))) << seed;
  }
}

TEST_P(Replay, ChangedSeedsKeepTheContract) {
  std::mt19937 random(kSeed);
  for (const fs::path& seed : seeds_of(GetParam().name)) {
    const std::string original = contents_of(seed);
    for (int i = 0; i < kChangesOfASeed; ++i) {
      const std::string input = changed(changed(original, random), random);
      EXPECT_NO_THROW(GetParam().run(input)) << seed << ", change " << i << " of seed " << kSeed;
    }
  }
}

/// What no fuzzer reaches in its 64 KB: time that grows with the square of the input, and a stack
/// that grows with its nesting. Each of these takes well under a second where it is linear.
TEST_P(Replay, LongInputsAreLinear) {
  constexpr std::size_t kLong = 10'000'000;
  constexpr std::size_t kDeep = 100'000;
  const std::string deep(kDeep, '[');
  const std::string closed = deep + std::string(kDeep, ']');
  std::string pages = "{\"a\":";
  for (std::size_t i = 0; i < kDeep; ++i) pages += "{\"a\":";
  const std::vector<std::string> inputs{
      std::string(kLong, 'a'),
      std::string(kLong, ' '),
      std::string(kLong, '\n'),
      std::string(kLong, '\xff'),
      std::string(kLong, '"'),
      closed,
      deep,
      pages,
      "{\"step\":" + closed + "}\n",
      R"({"format":1,"step":)" + closed + "}",
      R"({"format":1,"step":1,"seed":1,"options":{"data":)" + closed + "}}",
      R"({"model_type":)" + closed + "}",
      R"({"model":{"type":)" + closed + "}}",
  };
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::clock_t begin = std::clock();  // The processor's time: others may use it as well.
    EXPECT_NO_THROW(GetParam().run(inputs[i])) << "long input " << i;
    const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    EXPECT_LT(seconds, 20.0) << "long input " << i;
  }
}

/// A plain JSON value anywhere in a seed becomes 100,000 nested arrays: no reader may copy, compare
/// or print such a thing call by call on its stack.
TEST_P(Replay, DeepValuesDoNotEatTheStack) {
  constexpr std::size_t kDeep = 100'000;
  constexpr std::size_t kMostPlaces = 30;
  const std::string deep = std::string(kDeep, '[') + std::string(kDeep, ']');
  const std::regex plain(R"(:\s*(null|true|false|-?[0-9.e+-]+))");
  for (const fs::path& seed : seeds_of(GetParam().name)) {
    const std::string text = contents_of(seed);
    std::vector<std::pair<std::size_t, std::size_t>> places;
    for (std::sregex_iterator match(text.begin(), text.end(), plain), end; match != end; ++match) {
      places.emplace_back(match->position(1), match->length(1));
    }
    const std::size_t stride = places.size() / kMostPlaces + 1;
    for (std::size_t i = 0; i < places.size(); i += stride) {
      std::string input = text;
      input.replace(places[i].first, places[i].second, deep);
      EXPECT_NO_THROW(GetParam().run(input)) << seed << ", byte " << places[i].first;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Readers, Replay, testing::ValuesIn(kTargets),
                         [](const auto& target) { return std::string(target.param.name); });

}  // namespace
}  // namespace cajal::fuzz
