// The recorded step: accumulation, clipping, skipping, waits.
#include "train/train_step.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "device_fixture.h"
#include "model/model_fixture.h"

namespace cajal::testing {
namespace {

struct StepRun {
  std::vector<train::StepResult> results;
  std::vector<float> weights;
  Usage used;
};

/// `steps` steps over the same `rows` sequences, cut into micro-batches.
StepRun run_steps(std::uint64_t seed, train::StepShape shape, int steps, DType dtype = DType::f32,
                  float poison = 0.0F) {
  SmallGpt small(seed, odd_config(), dtype);
  const train::Optimizer optimizer(*small.device, small.gpt.parameters());
  train::TrainStep step(small.queue, small.gpt, optimizer, shape, /*dropout=*/0.0F);
  MemoryPlan(step.recordings()).bind(*small.device);
  const auto prepare = small.queue.command_buffer("zero moments");
  ops::zero(*prepare, optimizer.m());
  ops::zero(*prepare, optimizer.v());
  ops::zero(*prepare, optimizer.state());
  small.queue.commit(prepare);
  small.queue.wait_idle(WaitReason::evaluation);
  if (poison != 0.0F) {
    auto poisoned = small.arena;
    poisoned[0] = poison;
    upload(small.queue, poisoned, small.gpt.parameters().master());
  }

  std::mt19937_64 generator(seed);
  const auto tokens = random_ids(static_cast<std::size_t>(shape.tokens()), 29, generator);
  const auto targets = random_ids(static_cast<std::size_t>(shape.tokens()), 29, generator);
  StepRun run;
  const Usage before = small.queue.usage();
  for (int i = 0; i < steps; ++i) {
    small.queue.begin_step(i);
    for (std::int64_t micro = 0; micro < shape.accumulate; ++micro) {
      const train::StepInputs inputs = step.inputs();
      const auto first = micro * shape.micro_tokens();
      std::copy_n(tokens.begin() + first, shape.micro_tokens(), inputs.tokens().begin());
      std::copy_n(targets.begin() + first, shape.micro_tokens(), inputs.targets().begin());
      inputs.seed()[0] = inputs.seed()[1] = 0;
      step.micro_batch(inputs);
    }
    step.update({.learning_rate = 1e-2F}, [&](const Completion&, const train::StepResult& result) {
      run.results.push_back(result);
    });
  }
  run.used = small.queue.usage() - before;
  small.queue.wait_idle(WaitReason::shutdown);
  run.weights = download<float>(small.queue, small.gpt.parameters().master());
  return run;
}

using TrainStep = DeviceTest;

TEST_F(TrainStep, MicroBatchesAddUpToTheBatch) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  const StepRun whole = run_steps(seed, {.batch = 4, .seq = 7, .accumulate = 1}, 3);
  const StepRun parts = run_steps(seed, {.batch = 1, .seq = 7, .accumulate = 4}, 3);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(whole.results[i].loss, parts.results[i].loss, 1e-4);
    EXPECT_NEAR(whole.results[i].grad_norm, parts.results[i].grad_norm, 1e-3);
  }
}

TEST_F(TrainStep, LossFallsOnTheSameBatch) {
  const StepRun run = run_steps(3, {.batch = 2, .seq = 11, .accumulate = 1}, 30);
  EXPECT_LT(run.results.back().loss, run.results.front().loss * 0.5F);
  EXPECT_EQ(run.results.back().optimizer.applied, 30);
}

TEST_F(TrainStep, AtMostOneWaitAStepWhateverTheAccumulation) {
  for (const std::int64_t accumulate : {1, 3, 16}) {
    const StepRun run = run_steps(4, {.batch = 1, .seq = 11, .accumulate = accumulate}, 12);
    const auto tuning = run.used.waits[static_cast<std::size_t>(WaitReason::tuning)].count;
    EXPECT_LE(run.used.host_waits() - tuning, 12) << accumulate;
  }
}

TEST_F(TrainStep, NonFiniteGradientsChangeNoWeight) {
  const float poison = std::numeric_limits<float>::infinity();
  const StepRun run = run_steps(5, {.batch = 1, .seq = 5, .accumulate = 1}, 3, DType::f32, poison);
  for (const auto& result : run.results) EXPECT_FALSE(std::isfinite(result.grad_norm));
  EXPECT_EQ(run.results.back().optimizer.skipped, 3);
  EXPECT_EQ(run.results.back().optimizer.skipped_in_row, 3);
  EXPECT_EQ(run.results.back().optimizer.applied, 0);
  const SmallGpt fresh(5);
  for (std::size_t i = 1; i < run.weights.size(); ++i)
    ASSERT_EQ(run.weights[i], fresh.arena[i]) << i;
}

TEST_F(TrainStep, Bf16FollowsFp32) {
  const DeviceInfo info = open_test_device()->info();
  if (!info.supports_bf16) GTEST_SKIP() << info.name << " has no bf16: " << info.bf16_remedy;
  const StepRun fp32 = run_steps(6, {.batch = 2, .seq = 11, .accumulate = 1}, 20);
  const StepRun bf16 = run_steps(6, {.batch = 2, .seq = 11, .accumulate = 1}, 20, DType::bf16);
  for (std::size_t i = 0; i < 20; ++i) {
    EXPECT_NEAR(bf16.results[i].loss, fp32.results[i].loss, 0.05F * (1.0F + fp32.results[i].loss))
        << i;
  }
}

}  // namespace
}  // namespace cajal::testing
