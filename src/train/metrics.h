// metrics.jsonl: one JSON object a line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "train/durable_file.h"
#include "train/trainer.h"

namespace cajal::train {

/// A step's line has step, loss, grad_norm, lr, tokens_per_s, device_busy, host_waits,
/// host_blocked_ms and skipped; an evaluation's has step and val_loss, a checkpoint's
/// step and checkpoint: bytes, device_ms, blocked_ms and write_s. A number that is not finite
/// becomes null.
class MetricsLog {
 public:
  /// Opens for appending. Lines of steps after `last_step` come from a run that died after its last
  /// checkpoint, and a line cut by that death: they are dropped, all at once, so that every step
  /// stands once. Throws Error.
  MetricsLog(std::filesystem::path file, std::int64_t last_step);

  /// Each line is one write(2): a kill cuts at most the last one. Throws Error, and takes a
  /// half-written line back.
  void write(const StepReport& report);
  void write(const EvalReport& report);
  void write(const CheckpointReport& report);

  /// Flushes to the disk, so that no power cut loses lines of a step already in a checkpoint.
  void sync();

 private:
  void append(const std::string& line);

  std::filesystem::path file_;
  FileDescriptor fd_;
};

}  // namespace cajal::train
