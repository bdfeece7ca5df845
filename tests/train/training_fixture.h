// Small trainings in a temporary folder.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "device_fixture.h"
#include "train/temporary_directory.h"
#include "train/trainer.h"

namespace cajal::testing {

/// Sentences with a structure that a model can learn.
inline void write_text(const std::filesystem::path& file, int sentences) {
  static constexpr const char* kSubjects[] = {"the cat", "a queue", "the device", "my host",
                                              "one kernel"};
  static constexpr const char* kVerbs[] = {"waits for", "runs before", "writes to", "reads from"};
  std::mt19937 generator(7);
  std::ofstream stream(file);
  for (int i = 0; i < sentences; ++i) {
    stream << kSubjects[generator() % 5] << ' ' << kVerbs[generator() % 4] << ' '
           << kSubjects[generator() % 5] << ".\n";
  }
}

/// Records what a run reports; can ask it to stop once a step has been reported, or in a stage.
class Recorder : public train::TrainObserver {
 public:
  void on_stage(std::string_view stage, double) override {
    if (stage == stop_in) stop = true;
  }
  void on_warning(std::string_view line) override {
    const std::lock_guard lock(mutex);
    warnings.emplace_back(line);
  }
  void on_plan(const train::RunPlan& plan_) override { plan = plan_; }
  void on_step(const train::StepReport& report) override {
    steps.push_back(report);
    if (report.step >= stop_at) stop = true;
  }
  void on_evaluation(const train::EvalReport& report) override { evaluations.push_back(report); }
  void on_checkpoint(const train::CheckpointReport& report) override {
    checkpoints.push_back(report.step);
  }

  std::vector<double> losses() const {
    std::vector<double> values;
    for (const auto& step : steps) values.push_back(step.loss);
    return values;
  }

  std::mutex mutex;  ///< Of warnings.
  std::int64_t stop_at = std::int64_t{1} << 40;
  std::string stop_in;
  std::atomic<bool> stop{false};
  train::RunPlan plan;
  std::vector<std::string> warnings;
  std::vector<train::StepReport> steps;
  std::vector<train::EvalReport> evaluations;
  std::vector<std::int64_t> checkpoints;
};

class TrainingTest : public DeviceTest {
 protected:
  TrainingTest() { write_text(folder_ / "text.txt", 3000); }

  train::TrainOptions options(const std::string& out) const {
    train::TrainOptions options;
    options.data = {folder_ / "text.txt"};
    options.vocab_size = 300;
    options.batch = 2;
    options.seq = 16;
    options.steps = 8;
    options.learning_rate = 3e-3F;
    options.warmup = 2;
    options.eval_batches = 2;
    options.save_every = 0;
    options.device = test_device_name();
    options.dtype = DType::f32;
    options.threads = 2;
    options.out = folder_ / out;
    return options;
  }

  /// Goes on with `out` as it was begun.
  train::TrainOptions resumed(const std::string& out) const {
    train::TrainOptions options;
    options.resume = true;
    options.device = test_device_name();
    options.threads = 2;
    options.out = folder_ / out;
    return options;
  }

  train::TrainSummary run(const train::TrainOptions& options, Recorder& recorder) const {
    return train::train(options, recorder, recorder.stop);
  }
  train::TrainSummary run(const train::TrainOptions& options) const {
    Recorder recorder;
    return run(options, recorder);
  }

  void expect_same_weights(const std::string& a, const std::string& b) const {
    for (const char* file : {"model.safetensors", "optimizer.safetensors"}) {
      EXPECT_TRUE(train::contents_of(folder_ / a / file) == train::contents_of(folder_ / b / file))
          << file;
    }
  }

  train::TemporaryDirectory folder_;
};

}  // namespace cajal::testing
