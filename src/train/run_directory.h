// The directory of a run, and how a checkpoint gets into it whole or not at all.
#pragma once

#include <filesystem>
#include <functional>
#include <string_view>
#include <vector>

namespace cajal::train {

/// Layout:
///   config.json model.safetensors tokenizer.json      what Hugging Face transformers opens
///   optimizer.safetensors trainer_state.json           what --resume needs beside them
///   metrics.jsonl                                      one object a step
///   tokens/tokens_*.bin                                the encoded corpus
///
/// A checkpoint is several files that must change together, which rename cannot do. So each one is
/// written to checkpoint-<step>.tmp/, fsynced, and the folder renamed to checkpoint-<step>/; then the
/// link `latest` is replaced by rename. The names above are links through `latest`, made once, so
/// that the run directory itself opens as a model. Whatever moment the process dies, `latest` names a
/// whole checkpoint; the next start removes what was left half-written.
class RunDirectory {
 public:
  /// Creates the directory where needed; removes leftovers of a killed run. Throws Error/InvalidArgument
  /// with the remedy: not writable, a file of that name.
  explicit RunDirectory(std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }

  /// Step of the checkpoint that `latest` names, or -1.
  std::int64_t latest_step() const;
  std::filesystem::path latest() const;

  /// Calls `write` with an empty temporary folder, then makes it the latest checkpoint and removes
  /// all but the `keep` newest. On any exception the folder is removed and the last checkpoint stays.
  void publish(std::int64_t step, const std::function<void(const std::filesystem::path&)>& write,
               int keep = 1);

 private:
  std::filesystem::path path_;
};

/// Writes text under a temporary name, fsyncs file and folder, renames. Throws Error.
void write_file_atomically(const std::filesystem::path& file, std::string_view contents);

}  // namespace cajal::train
