// Turns completed steps into reports, on the queue's handler thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "cajal/command_queue.h"
#include "train/metrics.h"
#include "train/train_step.h"
#include "train/trainer.h"

namespace cajal::train {

/// Updates that may be skipped in a row before a run is given up.
inline constexpr std::int32_t kSkippedInRowLimit = 10;

/// on_* run on the handler thread; the results are for the training thread after a wait on the
/// queue.
class StepReporter {
 public:
  StepReporter(CommandQueue& queue, MetricsLog& log, TrainObserver& observer,
               std::int64_t tokens_per_step);

  /// Rates and waits count from here on; later each step's count from the step before, whatever
  /// the time went to. While nothing is in flight.
  void begin();
  void on_step(std::int64_t step, float learning_rate, const Completion& completion,
               const StepResult& result);
  void on_evaluation(std::int64_t step, double loss);

  /// Whether the last kSkippedInRowLimit updates were all skipped. From any thread.
  bool diverged() const { return diverged_.load(std::memory_order_relaxed); }

  /// Evaluations since the one with the best loss. From any thread.
  std::int64_t evaluations_without_better() const { return evaluations_without_better_.load(); }

  std::int64_t reported() const { return reported_; }
  std::int64_t last_step() const { return last_step_; }  ///< Reported; that resumed from at first.
  double first_loss() const { return first_loss_; }
  double last_loss() const { return last_loss_; }
  const ops::AdamWState& optimizer() const { return optimizer_; }
  /// Where a resumed run stands.
  void resume_from(std::int64_t step, const ops::AdamWState& optimizer) {
    last_step_ = step;
    optimizer_ = optimizer;
  }
  std::optional<double> first_validation_loss() const { return first_validation_loss_; }
  std::optional<double> last_validation_loss() const { return last_validation_loss_; }
  std::int64_t validated_step() const { return validated_step_; }  ///< Of the last one; -1: none.
  std::optional<double> best_validation_loss() const { return best_validation_loss_; }
  void set_validation_losses(std::optional<double> best, std::optional<double> last) {
    best_validation_loss_ = best;
    last_validation_loss_ = last;
  }

 private:
  CommandQueue* queue_;
  MetricsLog* log_;
  TrainObserver* observer_;
  std::int64_t tokens_per_step_;
  Usage last_usage_;
  Clock last_completed_ = 0;
  std::int64_t reported_ = 0;
  std::int64_t last_step_ = 0;
  double first_loss_ = 0.0;
  double last_loss_ = 0.0;
  ops::AdamWState optimizer_;
  std::optional<double> first_validation_loss_;
  std::optional<double> last_validation_loss_;
  std::optional<double> best_validation_loss_;
  std::int64_t validated_step_ = -1;
  std::atomic<std::int64_t> evaluations_without_better_{0};
  std::atomic<bool> diverged_{false};
};

}  // namespace cajal::train
