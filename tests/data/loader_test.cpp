#include "data/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <thread>

#include "cajal/error.h"
#include "data/unigram.h"
#include "shard_support.h"
#include "support.h"

namespace cajal::data {
namespace {

using test::counting;
using test::make_shard;
using test::TemporaryDirectory;
using test::write_file;
using testing::HasSubstr;
using Split = Loader::Split;

class LoaderTest : public testing::Test {
 protected:
  /// Two shards of 20 and 31 windows of 8; each token names its place.
  LoaderTest() {
    files_ = {write_file(dir_ / "a.bin", make_shard(counting(20 * 8 + 3))),
              write_file(dir_ / "b.bin", make_shard(counting(31 * 8 + 1, 1000)))};
    options_.batch = 3;
    options_.seq = 8;
    options_.seed = 42;
    options_.validation_fraction = 0.2;
  }

  std::vector<TokenShard> shards() const { return {TokenShard(files_[0]), TokenShard(files_[1])}; }
  Loader loader(Split split = Split::train, LoaderState start = {}) const {
    return Loader(shards(), split, options_, start);
  }

  /// The first token of each window of the next `batches` batches.
  std::vector<TokenId> firsts(Loader& loader, int batches) const {
    std::vector<TokenId> result;
    for (int i = 0; i < batches; ++i) {
      const Batch batch = loader.next();
      for (std::int64_t b = 0; b < options_.batch; ++b) {
        result.push_back(batch.tokens[static_cast<std::size_t>(b * options_.seq)]);
      }
    }
    return result;
  }

  std::vector<TokenId> firsts_of_whole_files(int batches) const {
    const TemporaryDirectory other;
    const auto a = write_file(other / "a.bin", make_shard(counting(20 * 8 + 3)));
    const auto b = write_file(other / "b.bin", make_shard(counting(31 * 8 + 1, 1000)));
    Loader undisturbed({TokenShard(a), TokenShard(b)}, Split::train, options_);
    return firsts(undisturbed, batches);
  }

  std::string error_of(Split split, LoaderState start = {}) const {
    try {
      loader(split, start);
    } catch (const InvalidArgument& error) {
      return error.what();
    }
    return {};
  }

  TemporaryDirectory dir_;
  std::vector<std::filesystem::path> files_;
  LoaderOptions options_;
};

TEST_F(LoaderTest, TargetsAreTheTokensAfter) {
  Loader train = loader();
  for (int i = 0; i < 40; ++i) {
    const Batch batch = train.next();
    ASSERT_EQ(batch.tokens.size(), 24U);
    ASSERT_EQ(batch.targets.size(), 24U);
    for (std::size_t t = 0; t < batch.tokens.size(); ++t) {
      EXPECT_EQ(batch.targets[t], batch.tokens[t] + 1);
      if (t % 8 != 0) {
        EXPECT_EQ(batch.tokens[t], batch.targets[t - 1]);
      }
    }
  }
}

TEST_F(LoaderTest, VisitsEveryWindowOnceAnEpoch) {
  Loader train = loader();
  Loader validation = loader(Split::validation);
  EXPECT_EQ(train.windows() + validation.windows(), 51);
  EXPECT_EQ(validation.windows(), 10);
  options_.batch = 1;
  Loader single = loader();
  const auto epoch = [&] {
    const auto list = firsts(single, static_cast<int>(single.windows()));
    const std::set<TokenId> set(list.begin(), list.end());
    EXPECT_EQ(std::ssize(set), single.windows());
    return std::pair(list, set);
  };
  const auto [first_order, first_set] = epoch();
  const auto [second_order, second_set] = epoch();
  EXPECT_EQ(first_set, second_set);
  EXPECT_NE(first_order, second_order) << "another order each epoch";
  Loader held_out = loader(Split::validation);
  for (const TokenId token : firsts(held_out, 10)) EXPECT_FALSE(first_set.contains(token));
}

TEST_F(LoaderTest, OrderDependsOnTheSeedAndTheSplitDoesNot) {
  const auto both = [&](std::uint64_t seed) {
    options_.seed = seed;
    Loader train = loader();
    Loader validation = loader(Split::validation);
    return std::pair(firsts(train, 10), firsts(validation, 3));
  };
  const auto one = both(1);
  const auto again = both(1);
  const auto two = both(2);
  EXPECT_EQ(one, again);
  EXPECT_NE(one.first, two.first);
  EXPECT_EQ(one.second, two.second) << "evaluations of two seeds are of the same text";
}

TEST_F(LoaderTest, GoesOnFromWhereItStood) {
  for (const int stop : {1, 5, 13, 14, 30}) {
    Loader straight = loader();
    LoaderState state;
    for (int i = 0; i < stop; ++i) state = straight.next().after;
    Loader resumed = loader(Split::train, state);
    ASSERT_EQ(firsts(resumed, 40), firsts(straight, 40)) << "stopped after " << stop;
  }
}

TEST_F(LoaderTest, DoesNotDependOnPrefetch) {
  options_.prefetch = 1;
  Loader one = loader();
  options_.prefetch = 16;
  Loader many = loader();
  EXPECT_EQ(firsts(one, 50), firsts(many, 50));
}

TEST_F(LoaderTest, StateCountsWindowsWithinTheEpoch) {
  options_.batch = 20;
  Loader train = loader();
  EXPECT_EQ(train.next().after.window, 20);
  EXPECT_EQ(train.next().after.window, 40);
  const LoaderState state = train.next().after;
  EXPECT_EQ(state.epoch, 1);
  EXPECT_EQ(state.window, 19) << "41 windows an epoch";
}

TEST_F(LoaderTest, CanBeMovedAndDroppedAtAnyTime) {
  for (int i = 0; i < 50; ++i) {
    Loader first = loader();
    Loader second = std::move(first);
    if (i % 2 == 0) second.next();
    second = loader(Split::validation);
    if (i % 3 == 0) second.next();
  }
}

TEST_F(LoaderTest, SurfacesTheThreadsErrorAfterTheGoodBatches) {
  options_.batch = 1;
  options_.validation_fraction = 0;
  options_.vocab = 1200;  // The second shard's last windows lie above.
  Loader train = loader();
  std::string error;
  int good = 0;
  try {
    for (;; ++good) train.next();
  } catch (const Error& caught) {
    error = caught.what();
  }
  EXPECT_LT(good, 51);
  EXPECT_THAT(error, HasSubstr("b.bin"));
  EXPECT_THAT(error, HasSubstr("the vocabulary has 1200"));
  EXPECT_THROW(train.next(), Error);
}

TEST_F(LoaderTest, RefusesWhatCannotBe) {
  EXPECT_THAT(error_of(Split::train, {0, 41}), HasSubstr("window 41"));
  EXPECT_THAT(error_of(Split::train, {-1, 0}), HasSubstr("cannot go on"));
  options_.seq = 1000;
  EXPECT_THAT(error_of(Split::train), HasSubstr("too short"));
  options_.seq = 8;
  options_.validation_fraction = 0;
  EXPECT_THAT(error_of(Split::validation), HasSubstr("no text is held out"));
  for (const double fraction : {-0.1, 1.0, std::nan("")}) {
    options_.validation_fraction = fraction;
    EXPECT_THAT(error_of(Split::train), HasSubstr("share of validation text"));
  }
  options_.validation_fraction = 0;
  options_.batch = 0;
  EXPECT_THAT(error_of(Split::train), HasSubstr("the batch is 0"));
}

TEST_F(LoaderTest, UnigramEntropyIsThatOfTheCounts) {
  options_.vocab = 4;
  test::Random random;
  std::vector<std::uint16_t> tokens(8 * 60 + 1);
  for (auto& token : tokens)
    token = static_cast<std::uint16_t>(std::min(random.below(4), random.below(4)));
  const std::vector<TokenShard> one{TokenShard(write_file(dir_ / "c.bin", make_shard(tokens)))};
  options_.batch = 1;
  const auto targets = [&](Split split) {
    Loader all(one, split, options_);
    std::vector<TokenId> result;
    for (std::int64_t i = 0; i < all.windows(); ++i) {
      const Batch batch = all.next();
      result.insert(result.end(), batch.targets.begin(), batch.targets.end());
    }
    return result;
  };
  std::map<TokenId, double> counts{{0, 1}, {1, 1}, {2, 1}, {3, 1}};
  const auto train = targets(Split::train);
  for (const TokenId token : train) ++counts[token];
  double nats = 0;
  const auto validation = targets(Split::validation);
  for (const TokenId token : validation) {
    nats -= std::log(counts[token] / static_cast<double>(train.size() + 4));
  }
  EXPECT_NEAR(unigram_entropy(one, options_), nats / static_cast<double>(validation.size()), 1e-12);
  options_.vocab = 2;
  EXPECT_THROW(unigram_entropy(one, options_), Error);
}

TEST_F(LoaderTest, SaysThatAShardHasShrunk) {
  // Under a running loader, first in the middle of a window, then of the header.
  for (const std::uintmax_t size : {1024U + 2 * 60, 100U, 0U}) {
    write_file(files_[0], make_shard(counting(20 * 8 + 3)));
    Loader running = loader();
    running.next();
    std::filesystem::resize_file(files_[0], size);
    try {
      for (int i = 0; i < 200; ++i) running.next();
      FAIL() << "read what is not there any more";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(),
                  HasSubstr(fmt::format("a.bin has shrunk to {} bytes while it was", size)));
    }
  }
}

TEST_F(LoaderTest, ReadsOnFromARemovedShard) {
  Loader running = loader();
  std::filesystem::remove(files_[0]);
  EXPECT_EQ(firsts(running, 30), firsts_of_whole_files(30));
}

TEST_F(LoaderTest, TellsOfAWaitOnlyWhenThereWasOne) {
  using Clock = std::chrono::steady_clock;
  std::vector<std::pair<Clock::time_point, Clock::time_point>> waits;
  options_.prefetch = 1;
  options_.on_wait = [&](Clock::time_point began, Clock::time_point ended) {
    waits.emplace_back(began, ended);
  };
  const auto start = Clock::now();
  Loader running = loader();
  // With one batch ahead and nothing done between the calls, some call has to wait.
  for (int i = 0; i < 20'000 && waits.empty(); ++i) running.next();
  ASSERT_FALSE(waits.empty());
  EXPECT_LE(start, waits[0].first);
  EXPECT_LE(waits[0].first, waits[0].second);

  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  waits.clear();
  running.next();
  EXPECT_TRUE(waits.empty()) << "the batch had long been made";
}

}  // namespace
}  // namespace cajal::data
