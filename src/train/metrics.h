// metrics.jsonl: one JSON object a line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>

#include "train/durable_file.h"
#include "train/trainer.h"

namespace cajal::train {

/// A step's line has step, loss, grad_norm, lr, tokens_per_s, device_busy, host_waits,
/// host_blocked_ms and skipped; an evaluation's has step and val_loss, a checkpoint's
/// step and checkpoint: bytes, device_ms, blocked_ms and write_s. A number that is not finite
/// becomes null.
///
/// Thread-safe: handlers write lines while another thread syncs.
class MetricsLog {
 public:
  static constexpr std::uint64_t kLimit = std::uint64_t{64} << 20;

  /// Opens for appending. Lines of steps after `last_step` come from a run that died after its last
  /// checkpoint: they are dropped, and a line cut by that death, all at once, so that every step
  /// stands once. A file of more than `limit` bytes is thinned by sync(). `scratch` is a folder on
  /// the same file system for what is half written; none means that of the file. Throws Error.
  MetricsLog(std::filesystem::path file, std::int64_t last_step, std::filesystem::path scratch = {},
             std::uint64_t limit = kLimit);

  /// Each line is one write(2): a kill cuts at most the last one. Throws Error, and takes a
  /// half-written line back.
  void write(const StepReport& report);
  void write(const EvalReport& report);
  void write(const CheckpointReport& report);

  /// Flushes to the disk, so that no power cut loses lines of a step already in a checkpoint. A
  /// file over the limit loses every second step of its older half, but no evaluation, in one
  /// rename; where that fails it stays as it is until it has grown by a quarter. Lines are written
  /// meanwhile; they wait only for the rename. Throws Error.
  void sync();

 private:
  void append(const std::string& line);
  std::uint64_t whole_lines();  ///< Their bytes.
  void thin(std::uint64_t size);
  std::filesystem::path temporary() const;

  std::filesystem::path file_;
  std::filesystem::path scratch_;
  std::mutex syncing_;  ///< Held by sync() throughout.
  std::mutex mutex_;    ///< Guards fd_ against sync(), and lines against one another.
  FileDescriptor fd_;
  std::uint64_t thin_beyond_;
};

}  // namespace cajal::train
