#include "train/step_reporter.h"

#include <cmath>
#include <limits>

namespace cajal::train {
namespace {

constexpr double kNanosecond = 1e-9;
constexpr double kMillisecondsPerNanosecond = 1e-6;

}  // namespace

StepReporter::StepReporter(CommandQueue& queue, MetricsLog& log, TrainObserver& observer,
                           std::int64_t tokens_per_step)
    : queue_(&queue), log_(&log), observer_(&observer), tokens_per_step_(tokens_per_step) {
  begin();
}

void StepReporter::begin() {
  last_usage_ = queue_->usage();
  last_completed_ = last_usage_.at;
}

void StepReporter::on_step(std::int64_t step, float learning_rate, const Completion& completion,
                           const StepResult& result) {
  if (!completion.succeeded()) return;  // of a fault the queue tells its owner
  const Usage usage = queue_->usage();
  const Usage spent = usage - last_usage_;
  const double seconds = static_cast<double>(completion.completed - last_completed_) * kNanosecond;

  StepReport report;
  report.step = step;
  report.loss = result.loss;
  report.grad_norm = result.grad_norm;
  report.learning_rate = learning_rate;
  report.tokens_per_s = seconds > 0.0 ? static_cast<double>(tokens_per_step_) / seconds : 0.0;
  report.device_busy = usage.device_busy(last_usage_);
  report.host_waits = spent.host_waits();
  report.host_blocked_ms = static_cast<double>(spent.blocked_ns()) * kMillisecondsPerNanosecond;
  report.skipped = result.optimizer.skipped;
  last_usage_ = usage;
  last_completed_ = completion.completed;

  last_step_ = step;
  if (reported_++ == 0) first_loss_ = report.loss;
  last_loss_ = report.loss;
  optimizer_ = result.optimizer;
  if (optimizer_.skipped_in_row >= kSkippedInRowLimit)
    diverged_.store(true, std::memory_order_relaxed);
  log_->write(report);
  observer_->on_step(report);
}

void StepReporter::on_evaluation(std::int64_t step, double loss) {
  if (!first_validation_loss_) first_validation_loss_ = loss;
  last_validation_loss_ = loss;
  validated_step_ = step;
  const bool better = std::isfinite(loss) && loss < best_validation_loss_.value_or(
                                                        std::numeric_limits<double>::infinity());
  if (better) best_validation_loss_ = loss;
  // The one before the first step tells nothing of this run's progress.
  if (better) {
    evaluations_without_better_ = 0;
  } else if (reported_ > 0) {
    ++evaluations_without_better_;
  }
  const EvalReport report{step, loss};
  log_->write(report);
  observer_->on_evaluation(report);
}

}  // namespace cajal::train
