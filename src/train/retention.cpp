#include "train/retention.h"

#include <algorithm>
#include <system_error>
#include <vector>

#include "cajal/error.h"
#include "train/durable_file.h"
#include "train/manifest.h"
#include "train/run_layout.h"

namespace cajal::train {

namespace fs = std::filesystem;

namespace {

std::optional<Manifest> whole_manifest(const fs::path& folder) try {
  return read_manifest(folder);
} catch (const Error&) {
  return std::nullopt;
}

std::optional<fs::path> best_of(const std::vector<fs::path>& checkpoints) {
  std::optional<fs::path> best;
  double lowest = 0.0;
  for (const fs::path& checkpoint : checkpoints) {
    const auto manifest = whole_manifest(checkpoint);
    if (!manifest || !manifest->validation_loss) continue;
    if (best && *manifest->validation_loss > lowest) continue;
    best = checkpoint;
    lowest = *manifest->validation_loss;
  }
  return best;
}

void prune(const fs::path& run, const fs::path& newest, int keep, const fs::path& scratch) {
  auto all = checkpoints_in(run);
  const auto later = std::ranges::find_if(all, [&](const fs::path& checkpoint) {
    return checkpoint_name(checkpoint) > checkpoint_name(newest);
  });
  std::vector<fs::path> doomed(later, all.end());
  all.erase(later, all.end());
  const auto best = best_of(all);
  std::error_code error;
  const fs::path linked = fs::read_symlink(run / kLatest, error);
  const auto old = all.size() - std::min(all.size(), static_cast<std::size_t>(std::max(keep, 1)));
  for (std::size_t i = 0; i < old; ++i) {
    if (all[i] != best && all[i].filename() != linked) doomed.push_back(all[i]);
  }
  for (const fs::path& checkpoint : doomed) remove_own_folder(checkpoint, scratch);
}

}  // namespace

std::optional<std::string> foreign_name_in(const fs::path& folder) {
  const auto manifest = whole_manifest(folder);
  for (std::string& name : names_in_folder(folder)) {
    const bool own = manifest && (name == kManifestFile || manifest->find(name) != nullptr);
    if (!own) return std::move(name);
  }
  return std::nullopt;
}

void remove_own_folder(const fs::path& folder, const fs::path& scratch) noexcept try {
  std::error_code error;
  if (!fs::is_directory(fs::symlink_status(folder, error)) || !whole_manifest(folder)) return;
  if (foreign_name_in(folder)) {
    remove_listed(folder);
    return;
  }
  const fs::path doomed = scratch / random_id();
  fs::rename(folder, doomed, error);
  // Before its files go, so that a power cut shows it whole or not at all.
  if (!error) sync_directory(folder.parent_path());
  remove_listed(error ? folder : doomed);
} catch (...) {
  // The folder stays.
}

void prune_checkpoints(const fs::path& run, const fs::path& newest, int keep,
                       const fs::path& scratch) noexcept try {
  prune(run, newest, keep, scratch);
} catch (...) {
  // They stay.
}

}  // namespace cajal::train
