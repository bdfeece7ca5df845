#include "train/run_adopt.h"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <system_error>

#include "cajal/error.h"
#include "train/durable_file.h"
#include "train/manifest.h"
#include "train/run_layout.h"
#include "train/trainer_state.h"

namespace cajal::train {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kSourceFile = "source.json";
constexpr std::string_view kEarlierLock = ".lock";

bool is_checkpoint_file(std::string_view name) {
  return std::ranges::find(kCheckpointFiles, name) != kCheckpointFiles.end();
}

bool is_token_file(std::string_view name) {
  return name == kSourceFile || (name.starts_with("tokens_") && name.ends_with(".bin"));
}

bool has_state(const fs::path& folder) try {
  load_trainer_state(folder);
  return true;
} catch (const Error&) {
  return false;
}

bool is_own_folder(const fs::path& folder, std::string_view told_by) {
  std::error_code error;
  return fs::is_directory(fs::symlink_status(folder, error)) && fs::exists(folder / told_by) &&
         !fs::exists(folder / kManifestFile);
}

void list(const fs::path& folder, const std::function<bool(std::string_view)>& is_own) {
  Manifest manifest;
  for (const std::string& name : names_in_folder(folder)) {
    if (is_own(name) && fs::is_regular_file(fs::symlink_status(folder / name))) {
      manifest.files.push_back(hash_file(folder / name));
    }
  }
  write_manifest(folder, std::move(manifest));
}

/// A copy that followed the links has all of the checkpoint a second time.
void adopt_latest(const fs::path& run) {
  const fs::path latest = run / kLatest;
  if (!is_own_folder(latest, kStateFile)) return;
  for (const fs::path& checkpoint : checkpoints_in(run)) {
    const auto manifest = read_manifest(checkpoint);
    if (!manifest) continue;
    const bool same = std::ranges::all_of(names_in_folder(latest), [&](const std::string& name) {
      const ManifestEntry* entry = manifest->find(name);
      return entry != nullptr && problem_with(latest, *entry).empty();
    });
    if (same) write_manifest(latest, *manifest);
  }
}

/// Holds nothing but the number of a process.
void remove_earlier_lock(const fs::path& run) {
  const fs::path lock = run / kEarlierLock;
  std::error_code error;
  if (!fs::is_regular_file(fs::symlink_status(lock, error)) || fs::file_size(lock) > 32) return;
  const std::string text = read_file(lock);
  if (text.find_first_not_of("0123456789\n") == std::string::npos) fs::remove(lock, error);
}

}  // namespace

bool is_earlier_run(const fs::path& run) {
  return std::ranges::any_of(checkpoints_in(run), has_state);
}

void adopt_earlier_run(const fs::path& run) {
  for (const fs::path& checkpoint : checkpoints_in(run)) {
    if (is_own_folder(checkpoint, kStateFile)) list(checkpoint, is_checkpoint_file);
  }
  if (is_own_folder(run / kTokensFolder, kSourceFile)) list(run / kTokensFolder, is_token_file);
  adopt_latest(run);
  remove_earlier_lock(run);
}

}  // namespace cajal::train
