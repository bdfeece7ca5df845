// What a benchmark says, not how quick the machine is.
#include "train/benchmark.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "device_fixture.h"
#include "model/presets.h"

namespace cajal::testing {
namespace {

using Benchmark = DeviceTest;

train::BenchmarkOptions quick() {
  train::BenchmarkOptions options;
  options.preset = "tiny";
  options.seq = 32;
  options.steps = 2;
  options.blocks = 3;
  options.device = test_device_name();
  options.threads = 2;
  return options;
}

TEST_F(Benchmark, CountsItsBlocksAndStaysWithinItsBounds) {
  auto options = quick();
  std::vector<std::int64_t> blocks;
  options.progress = [&](std::int64_t block, double) { blocks.push_back(block); };
  const train::BenchmarkResult result = train::benchmark(options);
  EXPECT_EQ(blocks.size(), 3U);
  EXPECT_GT(result.ms_min, 0.0);
  EXPECT_LE(result.ms_min, result.ms_per_step);
  EXPECT_LE(result.ms_per_step, result.ms_max);
  EXPECT_NEAR(result.tokens_per_s, 32 / (result.ms_per_step * 1e-3), 1e-6 * result.tokens_per_s);
  EXPECT_GT(result.device_busy, 0.0);
  EXPECT_LE(result.device_busy, 1.0);
  EXPECT_LE(result.host_waits_per_step, 1.0);
  EXPECT_GT(result.peak_bytes, 12U * static_cast<std::size_t>(result.parameters));
  EXPECT_NEAR(result.first_loss, std::log(1776.0), 0.5);
  EXPECT_FALSE(result.profile.has_value());
  const bool gpu = test_device()->kind() == DeviceKind::cuda;
  EXPECT_EQ(result.dtype, gpu ? DType::bf16 : DType::f32);
}

TEST_F(Benchmark, ProfileAccountsForTheStep) {
  for (const SyncMode sync : {SyncMode::step, SyncMode::every_op}) {
    auto options = quick();
    options.sync = sync;
    options.profile_steps = 2;
    const train::BenchmarkResult result = train::benchmark(options);
    ASSERT_TRUE(result.profile.has_value());
    double sum = 0.0;
    double last = result.profile->ms_per_step;
    for (const train::OperationTime& time : result.profile->operations) {
      EXPECT_GT(time.ms, 0.0) << time.operation;
      EXPECT_LE(time.ms, last) << "the longest first";
      EXPECT_EQ(time.calls, std::round(time.calls)) << time.operation;
      last = time.ms;
      sum += time.ms;
    }
    EXPECT_GT(sum, 0.0);
    EXPECT_LE(sum, 1.001 * result.profile->ms_per_step);
    const auto attention =
        std::find_if(result.profile->operations.begin(), result.profile->operations.end(),
                     [](const auto& time) { return time.operation == "attention"; });
    ASSERT_NE(attention, result.profile->operations.end());
    EXPECT_EQ(attention->calls, model::preset_config("tiny").n_layer);
  }
}

}  // namespace
}  // namespace cajal::testing
