// What a training run shows: header, progress, events and summary.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>

#include "cli/progress.h"
#include "cli/session.h"
#include "cli/signals.h"
#include "train/trainer.h"

namespace cajal::cli {

/// Shows a run as it goes. A closed output asks the run to stop, by `trap`.
class TrainView final : public train::TrainObserver {
 public:
  TrainView(Session& session, SignalTrap& trap);

  void on_stage(std::string_view stage, double share) override;
  void on_warning(std::string_view line) override;
  void on_plan(const train::RunPlan& plan) override;
  void on_step(const train::StepReport& report) override;
  void on_evaluation(const train::EvalReport& report) override;
  void on_checkpoint(const train::CheckpointReport& report) override;

  /// Known once the run has started.
  const std::optional<train::RunPlan>& plan() const { return plan_; }

 private:
  using Clock = std::chrono::steady_clock;
  void draw(const train::StepReport& report, Clock::time_point now);
  void stop_when_closed();

  Session& session_;
  SignalTrap& trap_;
  std::optional<train::RunPlan> plan_;
  std::optional<Pace> pace_;
  std::string stage_;
  Throttle throttle_;
};

std::string describe_plan(const train::RunPlan& plan);

std::string describe_summary(const train::TrainSummary& summary, const train::RunPlan& plan,
                             const std::filesystem::path& directory);

}  // namespace cajal::cli
