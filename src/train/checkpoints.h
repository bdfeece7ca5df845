// A run's checkpoints: when one is taken, whether it is kept, and who writes it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cajal/command_queue.h"
#include "train/checkpoint_files.h"
#include "train/checkpoint_writer.h"
#include "train/metrics.h"
#include "train/optimizer.h"
#include "train/run_directory.h"
#include "train/snapshot.h"
#include "train/step_reporter.h"
#include "train/trainer.h"
#include "train/validator.h"

namespace cajal::train {

/// How checkpoints of a run can be made: the snapshot goes where there is room beside
/// `planned_bytes` of state and activations.
CheckpointWay choose_checkpoint_way(const Device& device, const model::Parameters& parameters,
                                    CheckpointMode mode, std::size_t planned_bytes);

/// Asynchronous: save() queues the copies of a snapshot behind the step and returns; once they are
/// done, the completed handler decides whether the state is good (checkpoint_verdict.h) and hands
/// it to a thread that writes the files and publishes them. Nothing is drained for it. When the one
/// before is not on the disk yet, save() waits for it first: back pressure, counted as a wait for a
/// checkpoint.
///
/// A state that is not good is not published, whatever the mode: the checkpoint before stays, and a
/// warning says why.
class Checkpoints {
 public:
  /// What must outlive it.
  struct Parts {
    CommandQueue* queue = nullptr;
    RunDirectory* directory = nullptr;
    MetricsLog* log = nullptr;
    StepReporter* reporter = nullptr;
    Validator* validator = nullptr;
    TrainObserver* observer = nullptr;
    const Optimizer* optimizer = nullptr;
    CheckpointModel model;
  };
  /// `way` is that of choose_checkpoint_way, or at_the_end where save() will not be called.
  /// Allocates the snapshot.
  Checkpoints(const Parts& parts, CheckpointWay way, int keep, const TrainerState& begun);
  /// Drains the queue, whose handlers may still hand over, and finishes what is being written.
  ~Checkpoints();
  Checkpoints(const Checkpoints&) = delete;
  Checkpoints& operator=(const Checkpoints&) = delete;

  /// The state behind the last step queued. `state` has what the host knows of it; the optimizer's
  /// counters and the losses are filled in. A state is known to be good by held-out text: where no
  /// whole evaluation is queued behind the step (`validated`), one batch of it is. Throws what the
  /// writing of one before met.
  void save(TrainerState state, bool validated);

  /// The same once the queue is idle after the last step: returns when the checkpoint is on the
  /// disk. Throws Error when the state is not good, naming the last good one.
  void finish(TrainerState state);

  /// Whether writing has failed: save() and finish() will throw why.
  bool failed() const { return writer_.failed(); }
  std::int64_t published_step() const { return published_step_.load(); }  ///< -1: none.
  std::vector<CheckpointReport> reports() const;
  /// "the last good checkpoint is step 60 in runs/x", for errors.
  std::string last_good() const;

 private:
  /// What is known when a state has been reached.
  struct Taken {
    TrainerState state;
    double blocked_ms = 0.0;
    double device_ms = 0.0;
    std::optional<double> validation_loss;  ///< Of a whole evaluation, which alone compares.
    std::optional<std::string> refusal;
  };
  void ask_for(const TrainerState& state, bool validated);
  void judge(Taken& taken);
  void publish(const Taken& taken, const OpenState& open);
  void refuse(std::int64_t step, const std::string& why);
  void save_now(TrainerState state, bool validated, double blocked_ms);

  Parts parts_;
  int keep_;
  std::int64_t saved_step_;  ///< The last one asked for.
  std::atomic<std::int64_t> published_step_;
  // The handler thread, or the host's while the queue is idle:
  std::optional<double> probed_loss_;
  std::int64_t judged_step_;
  std::int64_t judged_skipped_;
  std::optional<std::string> last_refusal_;

  mutable std::mutex mutex_;
  std::vector<CheckpointReport> reports_;
  std::unique_ptr<Snapshot> snapshot_;
  CheckpointWriter writer_;  // Last: it uses everything above.
};

}  // namespace cajal::train
