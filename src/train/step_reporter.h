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

  /// Rates and waits count from here on. While nothing is in flight, or on the handler thread.
  void begin();
  void on_step(std::int64_t step, float learning_rate, const Completion& completion,
               const StepResult& result);
  void on_evaluation(std::int64_t step, double loss);

  /// Whether the last kSkippedInRowLimit updates were all skipped. From any thread.
  bool diverged() const { return diverged_.load(std::memory_order_relaxed); }

  std::int64_t reported() const { return reported_; }
  double first_loss() const { return first_loss_; }
  double last_loss() const { return last_loss_; }
  const ops::AdamWState& optimizer() const { return optimizer_; }
  void set_optimizer(const ops::AdamWState& state) { optimizer_ = state; }
  std::optional<double> first_validation_loss() const { return first_validation_loss_; }
  std::optional<double> last_validation_loss() const { return last_validation_loss_; }
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
  double first_loss_ = 0.0;
  double last_loss_ = 0.0;
  ops::AdamWState optimizer_;
  std::optional<double> first_validation_loss_;
  std::optional<double> last_validation_loss_;
  std::optional<double> best_validation_loss_;
  std::atomic<bool> diverged_{false};
};

}  // namespace cajal::train
