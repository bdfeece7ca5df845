// The directory of a run, and how a checkpoint gets into it whole or not at all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

#include "train/durable_file.h"

namespace cajal::train {

/// Layout:
///   config.json model.safetensors tokenizer.json      what Hugging Face transformers opens
///   optimizer.safetensors trainer_state.json           what --resume needs beside them
///   metrics.jsonl                                      one object a step
///   tokens/tokens_*.bin                                the encoded corpus
///
/// A checkpoint is several files that must change together, which rename cannot do. So they are
/// written to .tmp-checkpoint-<step>/, flushed, and the folder renamed to checkpoint-<step>/; then
/// the link `latest` is replaced by rename. The names above are links through `latest`, so that the
/// run directory itself opens as a model. Whatever moment the process or the machine dies, `latest`
/// names a whole checkpoint; the next start removes what was left half-written. All links are
/// relative: the directory may be moved, and copied with its links or without them.
///
/// One process at a time: the object holds a lock that ends with the process, however it ends.
class RunDirectory {
 public:
  /// Creates the directory where needed; removes leftovers of a killed run. Throws InvalidArgument
  /// with the remedy: not writable, a file of that name, in use by another training, somebody
  /// else's model in it.
  explicit RunDirectory(std::filesystem::path path);
  /// What the constructor has made goes again when nothing was put into it.
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  /// The folder of the checkpoint that a RunDirectory there would take for the latest; changes
  /// nothing.
  static std::optional<std::filesystem::path> find(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }

  /// Step of the checkpoint that `latest` names, or -1.
  std::int64_t latest_step() const;
  /// The folder of that checkpoint. Throws Error when there is none.
  std::filesystem::path latest() const;

  /// Calls `write` with an empty temporary folder, then makes it the latest checkpoint. Only when
  /// that is on the disk, removes all but the `keep` newest, and those of later steps, which a run
  /// begun again has left behind. On any exception the last checkpoint stays.
  void publish(std::int64_t step, const std::function<void(const std::filesystem::path&)>& write,
               int keep = 1);

 private:
  void refuse_foreign_model() const;
  void remove_leftovers() const;
  void repair_latest() const;
  void link_files() const;
  void point_link(const std::filesystem::path& name, const std::filesystem::path& target) const;
  void prune(int keep) const;
  std::filesystem::path unused_name(std::int64_t step) const;

  std::filesystem::path path_;
  std::vector<std::filesystem::path> created_;  ///< By the constructor, innermost first.
  FileDescriptor lock_;
};

}  // namespace cajal::train
