// The statistics of sampling.
#include "ops/sampling/sampling.h"

#include <cmath>
#include <limits>
#include <random>

#include "ops/op_fixture.h"

namespace cajal::testing {
namespace {

class Sampling : public OpTest {
 protected:
  /// How often each id is drawn in kDraws replays of one decode step, whose position moves by
  /// itself.
  std::vector<double> draw(const std::vector<float>& logits, const ops::SamplingOptions& options) {
    const auto columns = static_cast<std::int64_t>(logits.size());
    const ops::SamplingArgs args{.logits = floats(logits, {1, columns}),
                                 .seed = integers(seed_),
                                 .position = integers({0}),
                                 .token = integers({-7}),
                                 .next_position = {},
                                 .vocab = columns,
                                 .options = options};
    ops::SamplingArgs moving = args;
    moving.next_position = args.position;
    const auto commands = queue->command_buffer("decode");
    ops::sample(*commands, moving);
    std::vector<double> counts(logits.size(), 0.0);
    for (int i = 0; i < kDraws; ++i) {
      queue->wait(queue->commit(commands), WaitReason::generation);
      counts.at(static_cast<std::size_t>(read<std::int32_t>(args.token)[0])) += 1.0;
    }
    EXPECT_EQ(read<std::int32_t>(args.position)[0], kDraws);
    return counts;
  }

  /// Every count within six standard deviations of its expectation.
  static void expect_probabilities(const std::vector<double>& counts,
                                   const std::vector<double>& probabilities) {
    for (std::size_t i = 0; i < counts.size(); ++i) {
      const double p = probabilities[i];
      const double bound = 6.0 * std::sqrt(kDraws * p * (1.0 - p));
      EXPECT_NEAR(counts[i], kDraws * p, bound) << "id " << i << " seed " << run_seed();
    }
  }

  static constexpr int kDraws = 4000;
  std::vector<std::int32_t> seed_{static_cast<std::int32_t>(std::mt19937(run_seed())()), 1};
  /// Of probabilities 0.1, 0.4, 0.2, 0.3.
  std::vector<float> logits_{std::log(1.0F), std::log(4.0F), std::log(2.0F), std::log(3.0F)};
};

TEST_F(Sampling, FollowsTheProbabilities) {
  expect_probabilities(draw(logits_, {}), {0.1, 0.4, 0.2, 0.3});
}

TEST_F(Sampling, TemperatureSharpens) {  // Half of it squares the probabilities.
  expect_probabilities(draw(logits_, {.temperature = 0.5F}),
                       {1.0 / 30, 16.0 / 30, 4.0 / 30, 9.0 / 30});
}

TEST_F(Sampling, TopKKeepsTheLargest) {
  expect_probabilities(draw(logits_, {.top_k = 2}), {0.0, 4.0 / 7, 0.0, 3.0 / 7});
}

TEST_F(Sampling, TopPKeepsTheSmallestSetThatSuffices) {
  expect_probabilities(draw(logits_, {.top_p = 0.69F}), {0.0, 4.0 / 7, 0.0, 3.0 / 7});
  expect_probabilities(draw(logits_, {.top_p = 0.71F}), {0.0, 4.0 / 9, 2.0 / 9, 3.0 / 9});
}

TEST_F(Sampling, NeverDrawsWhatIsImpossible) {
  const float never = -std::numeric_limits<float>::infinity();
  expect_probabilities(draw({never, 0.0F, 0.0F, never}, {}), {0.0, 0.5, 0.5, 0.0});
}

TEST_F(Sampling, RowsOfABatchAreIndependent) {
  constexpr std::int64_t rows = 2000;
  const Tensor token = integers(std::vector<std::int32_t>(rows, -7));
  run([&](CommandBuffer& commands) {
    ops::sample(commands, {.logits = floats(std::vector<float>(2 * rows, 0.5F), {rows, 2}),
                           .seed = integers(seed_),
                           .position = integers({9}),
                           .token = token,
                           .next_position = {},
                           .vocab = 2,
                           .options = {}});
  });
  const auto ids = read<std::int32_t>(token);
  double ones = 0.0;
  double repeats = 0.0;
  for (std::size_t i = 0; i < rows; ++i) {
    ones += ids[i];
    if (i > 0) repeats += ids[i] == ids[i - 1] ? 1.0 : 0.0;
  }
  EXPECT_NEAR(ones / rows, 0.5, 3.0 / std::sqrt(rows)) << "seed " << run_seed();
  EXPECT_NEAR(repeats / rows, 0.5, 3.0 / std::sqrt(rows)) << "seed " << run_seed();
}

}  // namespace
}  // namespace cajal::testing
