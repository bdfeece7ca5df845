// Checkpoints of whole trainings: taken without a wait, kept when good, the same bits either way.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <thread>

#include "cajal/error.h"
#include "train/checkpoint.h"
#include "train/trainer.h"
#include "train/trainer_state.h"
#include "train/training_fixture.h"

namespace cajal::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using TrainerCheckpoint = TrainingTest;

std::int64_t checkpoint_waits(const train::TrainSummary& summary) {
  return summary.waits[static_cast<std::size_t>(WaitReason::checkpoint)].count;
}

TEST_F(TrainerCheckpoint, AsyncAndSyncGiveTheSameFilesAtEveryStep) {
  for (const auto mode : {train::CheckpointMode::async, train::CheckpointMode::sync}) {
    auto o = options(mode == train::CheckpointMode::async ? "async" : "sync");
    o.dropout = 0.1F;
    o.save_every = 3;
    o.keep = 10;
    o.checkpoint = mode;
    Recorder recorder;
    run(o, recorder);
    EXPECT_THAT(recorder.checkpoints, ElementsAre(3, 6, 8));
  }
  for (const char* checkpoint : {"checkpoint-3", "checkpoint-6", "checkpoint-8"}) {
    for (const char* file : {"model.safetensors", "optimizer.safetensors", "config.json"}) {
      EXPECT_TRUE(train::contents_of(folder_ / "async" / checkpoint / file) ==
                  train::contents_of(folder_ / "sync" / checkpoint / file))
          << checkpoint << '/' << file;
    }
    const auto a = train::load_trainer_state(folder_ / "async" / checkpoint);
    const auto b = train::load_trainer_state(folder_ / "sync" / checkpoint);
    EXPECT_EQ(a.optimizer.applied, b.optimizer.applied);
    EXPECT_EQ(a.loader.window, b.loader.window);
  }
}

TEST_F(TrainerCheckpoint, ResumingFromASnapshotGivesTheBitsOfARunNeverStopped) {
  auto whole = options("whole");
  whole.dropout = 0.1F;
  run(whole);
  auto cut = options("cut");
  cut.dropout = 0.1F;
  cut.save_every = 5;
  cut.keep = 10;
  run(cut);
  // As if it had died right after the snapshot of step 5.
  std::filesystem::remove_all(folder_ / "cut/checkpoint-8");
  std::filesystem::remove(folder_ / "cut/latest");
  EXPECT_EQ(train::load_trainer_state(folder_ / "cut/checkpoint-5").step, 5);
  run(resumed("cut"));
  expect_same_weights("whole", "cut");
}

TEST_F(TrainerCheckpoint, OnTheWayNothingIsDrained) {
  auto o = options("run");
  o.steps = 60;
  o.save_every = 20;
  Recorder recorder;
  const auto summary = run(o, recorder);
  EXPECT_THAT(recorder.checkpoints, ElementsAre(20, 40, 60));
  // Only back pressure may wait for one, where the disk is slower than twenty steps.
  EXPECT_LE(checkpoint_waits(summary), 1);
  ASSERT_EQ(summary.checkpoints.size(), 3U);
  EXPECT_EQ(recorder.plan.checkpoint_way, train::CheckpointWay::device_copy);
  EXPECT_GT(summary.checkpoints[0].write_s, 0.0);
  EXPECT_GE(summary.checkpoints[0].device_ms, 0.0);
  EXPECT_EQ(summary.checkpoints[0].bytes, recorder.plan.checkpoint_bytes);
}

TEST_F(TrainerCheckpoint, AStepsFiguresCountTheTimeOfACheckpointBeforeIt) {
  auto o = options("run");
  o.steps = 30;
  o.save_every = 10;
  o.checkpoint = train::CheckpointMode::sync;
  Recorder recorder;
  const auto summary = run(o, recorder);
  std::int64_t waits = 0;
  for (const auto& step : recorder.steps) waits += step.host_waits;
  EXPECT_GE(waits, checkpoint_waits(summary));
  EXPECT_GE(checkpoint_waits(summary), 2);
  // Step 11 comes behind the files of step 10: it took longer than its neighbours at the least.
  EXPECT_LT(recorder.steps[10].tokens_per_s, recorder.steps[12].tokens_per_s);
}

TEST_F(TrainerCheckpoint, KeepsTheNewestOnesAsAsked) {
  auto o = options("run");
  o.save_every = 2;
  o.keep = 2;
  run(o);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run/checkpoint-2") &&
               std::filesystem::exists(folder_ / "run/checkpoint-4"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run/checkpoint-6"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run/checkpoint-8"));
}

/// A rate that ruins the weights at once: their states must not take the good one's place.
TEST_F(TrainerCheckpoint, ARuinedStateLeavesTheGoodOneInItsPlace) {
  auto good = options("run");
  good.steps = 40;
  run(good);
  const std::string before = train::contents_of(folder_ / "run/model.safetensors");
  auto bad = resumed("run");
  bad.steps = 80;
  bad.learning_rate = 1e5F;
  bad.warmup = 0;
  bad.schedule = train::ScheduleKind::constant;
  bad.save_every = 2;
  Recorder recorder;
  std::string message;
  try {
    run(bad, recorder);
  } catch (const Error& error) {
    message = error.what();
  }
  EXPECT_THAT(message, HasSubstr("the last good checkpoint is step 40 in"));
  EXPECT_TRUE(recorder.checkpoints.empty());
  EXPECT_TRUE(before == train::contents_of(folder_ / "run/model.safetensors"));
  ASSERT_FALSE(recorder.warnings.empty());
  EXPECT_THAT(recorder.warnings.back(), HasSubstr("is not kept: "));
  // And it can be resumed as if nothing had been.
  auto again = resumed("run");
  again.steps = 44;
  EXPECT_TRUE(std::isfinite(run(again).last_loss));
}

TEST_F(TrainerCheckpoint, AccumulationCostsNoPlanningAndStopsWithinAStep) {
  auto o = options("run");
  o.steps = 3;
  run(o);
  auto huge = resumed("run");
  huge.steps = 4;
  huge.accumulate = 1'000'000;
  Recorder recorder;
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::seconds(1));
    recorder.stop = true;
  });
  const auto began = std::chrono::steady_clock::now();
  const auto summary = run(huge, recorder);
  later.join();
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(20));
  EXPECT_TRUE(summary.interrupted);
  EXPECT_EQ(summary.last_step, 3);
  EXPECT_EQ(train::load_trainer_state(folder_ / "run/latest").step, 3);
}

TEST_F(TrainerCheckpoint, ATimeBoundedRunGoesOnWithItsClock) {
  auto o = options("run");
  o.steps.reset();
  o.minutes = 0.05;
  Recorder first;
  first.stop_at = 5;
  run(o, first);
  const double spent = train::load_trainer_state(folder_ / "run/latest").seconds;
  EXPECT_LT(spent, 3.0);
  const auto began = std::chrono::steady_clock::now();
  run(resumed("run"));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  EXPECT_NEAR(train::load_trainer_state(folder_ / "run/latest").seconds, 3.0, 1.0);
  EXPECT_LT(took.count(), 3.0 - spent + 2.0);
  // Its time is over: nothing more is trained.
  EXPECT_EQ(run(resumed("run")).steps, 0);
}

TEST_F(TrainerCheckpoint, StopsEarlyWhereHeldOutTextGetsNoBetter) {
  auto o = options("run");
  o.steps = 400;
  o.learning_rate = 1e-12F;
  o.eval_every = 2;
  o.early_stop = 3;
  const auto summary = run(o);
  EXPECT_TRUE(summary.early_stopped);
  EXPECT_LT(summary.last_step, 100);
  EXPECT_EQ(train::load_trainer_state(folder_ / "run/latest").step, summary.last_step);
  // Resumed, it has as many evaluations to get better in.
  auto again = resumed("run");
  again.eval_every = 50;
  again.eval_batches = 2;
  again.early_stop = 1;
  const auto resumed_summary = run(again);
  EXPECT_GE(resumed_summary.steps, 50 - summary.last_step % 50);
  EXPECT_LT(resumed_summary.last_step, 200);
}

TEST_F(TrainerCheckpoint, SaysThatARunIsAllWarmUp) {
  auto o = options("run");
  o.warmup = 8;
  Recorder recorder;
  run(o, recorder);
  EXPECT_THAT(recorder.warnings, ::testing::Contains(HasSubstr("--warmup 8")));
}

}  // namespace
}  // namespace cajal::testing
