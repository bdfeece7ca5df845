#include "train/checkpoints.h"

#include <fmt/format.h>

#include <utility>

#include "cajal/error.h"
#include "runtime/backend.h"
#include "runtime/cpu/host_info.h"
#include "train/checkpoint_verdict.h"

namespace cajal::train {
namespace {

constexpr double kMillisecond = 1e6;  // Nanoseconds.
constexpr double kSecond = 1e9;
constexpr const char* kRemedy = "lower --lr, lengthen --warmup, or look for broken text";

double milliseconds(Clock time) { return static_cast<double>(time) / kMillisecond; }

}  // namespace

CheckpointWay choose_checkpoint_way(const Device& device, const model::Parameters& parameters,
                                    CheckpointMode mode, std::size_t planned_bytes) {
  constexpr std::size_t kSpareShare = 16;  // Libraries' workspaces come later.
  const std::size_t wanted = Snapshot::bytes(parameters);
  const auto fits = [wanted](std::size_t available, std::size_t taken) {
    const std::size_t spare = available / kSpareShare;
    return available > taken + spare && wanted <= available - taken - spare;
  };
  if (mode == CheckpointMode::sync) return CheckpointWay::in_parts;
  const DeviceInfo& info = device.info();
  if (fits(info.memory_available, planned_bytes)) return CheckpointWay::device_copy;
  if (info.shares_host_memory) return CheckpointWay::in_parts;
  return fits(host_memory().available, 0) ? CheckpointWay::host_copy : CheckpointWay::in_parts;
}

Checkpoints::Checkpoints(const Parts& parts, CheckpointWay way, int keep, const TrainerState& begun)
    : parts_(parts),
      keep_(keep),
      saved_step_(parts.directory->latest_step()),
      published_step_(saved_step_),
      judged_step_(begun.step),
      judged_skipped_(begun.optimizer.skipped) {
  if (way == CheckpointWay::device_copy || way == CheckpointWay::host_copy) {
    const auto place =
        way == CheckpointWay::device_copy ? SnapshotPlace::device : SnapshotPlace::host;
    snapshot_ =
        std::make_unique<Snapshot>(*parts.queue, *parts.model.parameters, *parts.optimizer, place);
  }
}

Checkpoints::~Checkpoints() {
  try {
    parts_.queue->wait_idle(WaitReason::shutdown);
  } catch (...) {
    // Whoever used the queue has been told.
  }
}

void Checkpoints::ask_for(const TrainerState& state, bool validated) {
  saved_step_ = state.step;
  if (validated) return;
  parts_.validator->probe([this](double loss) { probed_loss_ = loss; });
}

void Checkpoints::save(TrainerState state, bool validated) {
  if (saved_step_ == state.step) return;
  const Clock began = now();
  writer_.settle(parts_.queue->timeline());
  if (!snapshot_) {
    save_now(std::move(state), validated, milliseconds(now() - began));
    return;
  }
  const double blocked_ms = milliseconds(now() - began);
  ask_for(state, validated);
  writer_.announce();
  snapshot_->take([this, blocked_ms, state = std::move(state)](const Completion& completion) {
    if (!completion.succeeded()) return writer_.pass();
    Taken taken{state, blocked_ms, milliseconds(completion.completed - completion.started), {}, {}};
    judge(taken);
    if (taken.refusal) return writer_.pass();
    writer_.hand_over(
        [this, taken = std::move(taken)] { publish(taken, [this] { return snapshot_->read(); }); });
  });
}

void Checkpoints::save_now(TrainerState state, bool validated, double blocked_ms) {
  const Clock began = now();
  ask_for(state, validated);
  parts_.queue->wait_idle(WaitReason::checkpoint);
  Taken taken{std::move(state), blocked_ms, 0.0, {}, {}};
  judge(taken);
  if (taken.refusal) return;
  taken.blocked_ms += milliseconds(now() - began);
  publish(taken, [this] {
    return read_arenas(parts_.queue->device().shared_from_this(),
                       arenas_of(*parts_.model.parameters, *parts_.optimizer));
  });
}

void Checkpoints::finish(TrainerState state) {
  writer_.settle(parts_.queue->timeline());
  const std::int64_t step = state.step;
  if (published_step() == step) return;
  if (!last_refusal_ || saved_step_ != step) {
    save_now(std::move(state), parts_.reporter->validated_step() == step, 0.0);
  }
  if (!last_refusal_) return;
  throw Error(fmt::format("step {} is not kept: {}; {}", step, *last_refusal_, last_good()),
              kRemedy);
}

/// Fills in what the device has told of the state's step.
void Checkpoints::judge(Taken& taken) {
  const StepReporter& reporter = *parts_.reporter;
  TrainerState& state = taken.state;
  state.optimizer = reporter.optimizer();
  state.best_validation_loss = reporter.best_validation_loss();
  state.last_validation_loss = reporter.last_validation_loss();
  const bool validated = reporter.validated_step() == state.step && reporter.last_validation_loss();
  if (validated) taken.validation_loss = *reporter.last_validation_loss();
  const double validation = validated ? *reporter.last_validation_loss() : probed_loss_.value();
  taken.refusal = why_not_keep({.loss = reporter.reported() > 0 ? reporter.last_loss() : validation,
                                .skipped_in_row = state.optimizer.skipped_in_row,
                                .skipped_lately = state.optimizer.skipped - judged_skipped_,
                                .steps_lately = state.step - judged_step_,
                                .validation_loss = validation,
                                .vocab = parts_.model.config->vocab_size});
  if (taken.refusal) return refuse(state.step, *taken.refusal);
  judged_step_ = state.step;
  judged_skipped_ = state.optimizer.skipped;
  last_refusal_.reset();
}

void Checkpoints::refuse(std::int64_t step, const std::string& why) {
  last_refusal_ = why;
  parts_.observer->on_warning(fmt::format("step {} is not kept: {}; {}", step, why, last_good()));
}

void Checkpoints::publish(const Taken& taken, const OpenState& open) {
  const Clock began = now();
  const TrainerState& state = taken.state;
  CheckpointReport report{.step = state.step,
                          .directory = parts_.directory->path(),
                          .bytes = checkpoint_bytes(*parts_.model.parameters),
                          .device_ms = taken.device_ms,
                          .blocked_ms = taken.blocked_ms};
  parts_.log->sync();
  try {
    const auto warnings = parts_.directory->publish(
        state.step, taken.validation_loss,
        [&](const std::filesystem::path& folder) {
          return write_checkpoint_files(parts_.model, state, open, folder);
        },
        keep_);
    for (const std::string& warning : warnings) parts_.observer->on_warning(warning);
  } catch (const NotFinite& problem) {
    return refuse(state.step, problem.what());
  }
  published_step_ = state.step;
  const Clock ended = now();
  report.write_s = static_cast<double>(ended - began) / kSecond;
  parts_.queue->timeline().add(
      BackgroundSpan{fmt::format("checkpoint {}", state.step), began, ended});
  parts_.log->write(report);
  {
    const std::lock_guard lock(mutex_);
    reports_.push_back(report);
  }
  parts_.observer->on_checkpoint(report);
}

std::vector<CheckpointReport> Checkpoints::reports() const {
  const std::lock_guard lock(mutex_);
  return reports_;
}

std::string Checkpoints::last_good() const {
  const std::int64_t step = published_step();
  return step < 0 ? std::string("no checkpoint was saved before it")
                  : fmt::format("the last good checkpoint is step {} in {}", step,
                                parts_.directory->path().string());
}

}  // namespace cajal::train
