// Training from a set of options to a checkpoint.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cajal/command_queue.h"
#include "cajal/dtype.h"
#include "cajal/error.h"
#include "data/corpus.h"
#include "train/schedule.h"

namespace cajal::train {

enum class CheckpointMode : std::uint8_t {
  async,  ///< The state is held still on the device, and written while training goes on.
  sync,   ///< Training waits until the files are on the disk: the baseline.
};

/// What a run is asked to do. An absent option takes the value that the resumed run was started
/// with, else the preset's (train/recipe.h), so that `cajal train --resume --out DIR` goes on as
/// before.
struct TrainOptions {
  std::vector<std::filesystem::path> data;  ///< Files, folders or .bin shards; empty: C++ headers.
  std::optional<std::string> preset;        ///< Absent: "tiny".
  std::optional<std::filesystem::path>
      init;  ///< Start from this run's weights, config and tokenizer.
  std::string device = "cpu";
  std::optional<DType> dtype;  ///< The device's: train/recipe.h.
  std::optional<std::int64_t> batch;
  std::optional<std::int64_t> seq;         ///< The model's longest.
  std::optional<std::int64_t> accumulate;  ///< 1
  std::optional<std::int64_t> steps;       ///< Total, resumed ones included.
  std::optional<double> minutes;           ///< Resumed ones included. Not together with steps.
  std::optional<float> learning_rate;      ///< Peak.
  std::optional<ScheduleKind> schedule;    ///< cosine; over the time given when bounded by minutes.
  std::optional<std::int64_t> warmup;      ///< Steps.
  std::optional<float> clip;               ///< 1.0; 0 turns clipping off.
  std::optional<float> weight_decay;       ///< 0.1
  std::optional<float> dropout;            ///< 0
  std::optional<int> vocab_size;           ///< Of the tokenizer to be trained.
  std::optional<bool>
      parse_special;  ///< true: "<|endoftext|>" in the text is that token, not its letters.
  std::int64_t eval_every = 100;  ///< Steps; 0: only at the end.
  std::int64_t eval_batches = 8;
  std::int64_t save_every = 500;  ///< Steps; 0: only at the end.
  int keep = 1;                   ///< Newest checkpoints kept, beside the best by validation loss.
  std::int64_t early_stop = 0;    ///< Evaluations in a row without a better loss; 0: no end.
  CheckpointMode checkpoint = CheckpointMode::async;
  std::filesystem::path out = "runs/cajal";
  bool resume = false;
  std::optional<std::uint64_t> seed;  ///< 1337
  int threads = 0;                    ///< 0: every core.
  SyncMode sync = SyncMode::step;
  int max_in_flight = 2;
  std::optional<std::filesystem::path> trace;
};

/// One step, as delivered by its completed handler and written to metrics.jsonl.
struct StepReport {
  std::int64_t step = 0;  ///< From 1.
  double loss = 0.0;
  double grad_norm = 0.0;
  double learning_rate = 0.0;
  // Since the step before, whatever the time went to: evaluations and checkpoints count.
  double tokens_per_s = 0.0;
  double device_busy = 0.0;
  std::int64_t host_waits = 0;
  double host_blocked_ms = 0.0;
  std::int64_t skipped = 0;  ///< Updates skipped so far for a non-finite gradient.
};

struct EvalReport {
  std::int64_t step = 0;
  double loss = 0.0;  ///< Mean over held-out tokens, in nats.
};

/// A checkpoint that is on the disk, and what it cost.
struct CheckpointReport {
  std::int64_t step = 0;
  std::filesystem::path directory;  ///< The run's.
  std::uint64_t bytes = 0;
  double device_ms = 0.0;   ///< The device was busy with the copy.
  double blocked_ms = 0.0;  ///< The training host waited.
  double write_s = 0.0;     ///< The files took, beside training unless the mode is sync.
};

/// How checkpoints are made, decided before the first step.
enum class CheckpointWay : std::uint8_t {
  device_copy,  ///< Copied on the device between two steps, written meanwhile.
  host_copy,    ///< Copied to the host between two steps, written meanwhile.
  in_parts,     ///< Neither has room: the device waits while parts go through to the disk.
  at_the_end,   ///< There is only the one after the last step.
};

/// What the run is, known before its first step.
struct RunPlan {
  std::string device;
  std::int64_t parameters = 0;
  DType dtype = DType::f32;
  std::int64_t batch = 0;
  std::int64_t seq = 0;
  std::int64_t accumulate = 1;
  std::int64_t tokens = 0;           ///< In the training text, 0 unknown.
  std::int64_t start_step = 0;       ///< Over 0 when resumed.
  std::int64_t steps = 0;            ///< 0 when bounded by time.
  double minutes = 0.0;              ///< 0 when bounded by steps.
  std::size_t state_bytes = 0;       ///< Parameters, gradients, moments.
  std::size_t activation_bytes = 0;  ///< Planned, with reuse.
  std::size_t activation_bytes_unshared = 0;
  double unigram_entropy =
      0.0;  ///< Of the held-out text under the training text's counts, in nats.
  data::CorpusStats corpus;
  std::uint64_t checkpoint_bytes = 0;
  CheckpointWay checkpoint_way = CheckpointWay::at_the_end;
  std::int64_t save_every = 0;  ///< Steps between checkpoints on the way.
};

/// How a run tells what it does. Called on the thread that called train(), but on_step and
/// on_evaluation, which come from the queue's handler thread in step order, and on_checkpoint,
/// which comes from the thread that wrote it; on_warning may come from any of them.
class TrainObserver {
 public:
  virtual ~TrainObserver() = default;
  virtual void on_stage(std::string_view /*stage*/, double /*share*/) {
  }  ///< Tokenizer, encoding, planning.
  virtual void on_warning(std::string_view /*line*/) {}
  virtual void on_plan(const RunPlan& /*plan*/) {}
  virtual void on_step(const StepReport& /*report*/) {}
  virtual void on_evaluation(const EvalReport& /*report*/) {}
  virtual void on_checkpoint(const CheckpointReport& /*report*/) {}
};

struct TrainSummary {
  std::int64_t steps = 0;  ///< Done by this call.
  std::int64_t last_step = 0;
  double first_loss = 0.0;
  double last_loss = 0.0;
  std::optional<double> first_validation_loss;
  std::optional<double> last_validation_loss;
  std::int64_t validated_step = -1;  ///< Of last_validation_loss.
  std::vector<CheckpointReport> checkpoints;
  double tokens_per_s = 0.0;
  double seconds = 0.0;
  double device_busy = 0.0;
  std::array<WaitCount, kWaitReasons> waits{};
  std::int64_t skipped = 0;
  std::size_t peak_bytes = 0;
  bool interrupted = false;    ///< `stop` became true; the checkpoint is that of last_step.
  bool early_stopped = false;  ///< The validation loss got no better.
};

/// `stop` became true before the first step: there was nothing to save, and nothing is left behind.
class Interrupted : public Error {
 public:
  using Error::Error;
};

/// Trains to the end, or until `stop` is true (set by a signal handler), and leaves a whole
/// checkpoint in options.out. Throws InvalidArgument before anything is written when the options
/// cannot be; Interrupted; Error when the run fails, with the last good checkpoint in place.
TrainSummary train(const TrainOptions& options, TrainObserver& observer,
                   const std::atomic<bool>& stop);

}  // namespace cajal::train
