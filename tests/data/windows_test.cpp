#include "data/windows.h"

#include <gtest/gtest.h>

#include <set>

#include "data/permutation.h"
#include "shard_support.h"
#include "support.h"

namespace cajal::data {
namespace {

TEST(Permutation, IsABijectionForEverySizeAndKey) {
  test::Random random;
  for (std::int64_t n : {1, 2, 3, 4, 5, 15, 16, 17, 100, 1000, 4097}) {
    const Permutation order(n, random.below(1 << 30));
    std::set<std::int64_t> seen;
    for (std::int64_t i = 0; i < n; ++i) seen.insert(order(i));
    EXPECT_EQ(std::ssize(seen), n);
    EXPECT_EQ(*seen.begin(), 0);
    EXPECT_EQ(*seen.rbegin(), n - 1);
  }
}

TEST(Permutation, ShufflesByItsKey) {
  const Permutation one(10'000, 1);
  const Permutation two(10'000, 2);
  int same = 0;
  int fixed = 0;
  int neighbors = 0;
  for (std::int64_t i = 0; i < 9'999; ++i) {
    same += one(i) == two(i) ? 1 : 0;
    fixed += one(i) == i ? 1 : 0;
    neighbors += std::abs(one(i) - one(i + 1)) < 10 ? 1 : 0;
  }
  EXPECT_LT(same, 15);
  EXPECT_LT(fixed, 15);
  EXPECT_LT(neighbors, 60) << "18 expected of a random order";
}

TEST(Windows, CoverEachShardWithoutCrossingIntoTheNext) {
  const test::TemporaryDirectory dir;
  std::vector<TokenShard> shards;
  const std::vector<std::size_t> sizes = {4, 11, 5, 0, 3, 9};
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    shards.emplace_back(test::write_file(dir / std::to_string(i),
                                         test::make_shard(test::counting(sizes[i], i * 100))));
  }
  const Windows windows(std::move(shards), 4);
  std::vector<int> first;
  std::vector<std::uint16_t> tokens;
  for (std::int64_t w = 0; w < windows.count(); ++w) {
    windows.read(w, tokens);
    ASSERT_EQ(tokens.size(), 5U);
    first.push_back(tokens[0]);
  }
  EXPECT_EQ(first, (std::vector<int>{100, 104, 200, 500, 504}));
}

TEST(WindowSplit, PartsTheWindows) {
  for (const std::int64_t windows : {1, 2, 3, 10, 99, 1000, 12'345}) {
    for (const double fraction : {0.0, 0.001, 0.01, 0.05, 0.1, 0.5, 0.9, 0.999}) {
      const WindowSplit split(windows, fraction);
      std::set<std::int64_t> all;
      for (std::int64_t i = 0; i < split.train_count(); ++i) all.insert(split.train(i));
      EXPECT_EQ(std::ssize(all), split.train_count());
      for (std::int64_t i = 0; i < split.validation_count(); ++i) all.insert(split.validation(i));
      ASSERT_EQ(std::ssize(all), windows) << windows << " windows, " << fraction;
      EXPECT_EQ(*all.begin(), 0);
      EXPECT_EQ(*all.rbegin(), windows - 1);
      EXPECT_GE(split.train_count(), 1);
      const double expected = fraction * static_cast<double>(windows);
      if (windows > 1 && fraction > 0) {
        EXPECT_GE(split.validation_count(), 1);
        EXPECT_NEAR(static_cast<double>(split.validation_count()), expected, 1.0);
      } else {
        EXPECT_EQ(split.validation_count(), 0);
      }
    }
  }
}

TEST(WindowSplit, HoldsOutRunsFromEverywhere) {
  const WindowSplit split(10'000, 0.05);
  std::set<std::int64_t> tenths;
  int runs = 0;
  for (std::int64_t i = 0; i < split.validation_count(); ++i) {
    tenths.insert(split.validation(i) / 1000);
    if (i == 0 || split.validation(i) != split.validation(i - 1) + 1) ++runs;
  }
  EXPECT_EQ(tenths.size(), 10U);
  EXPECT_LE(runs, 32);
  EXPECT_GE(runs, 25);
}

}  // namespace
}  // namespace cajal::data
