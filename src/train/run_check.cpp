#include "train/run_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <vector>

#include "cajal/error.h"
#include "train/manifest.h"
#include "train/run_layout.h"
#include "train/run_links.h"
#include "train/run_marker.h"
#include "train/safetensors.h"
#include "train/trainer_state.h"

namespace cajal::train {

namespace fs = std::filesystem;

namespace {

using State = FileCheck::State;

constexpr std::string_view kUnfinished = "unfinished-";

/// A link has none of its own.
std::optional<std::uint64_t> size_of(const fs::path& file) {
  std::error_code error;
  if (!fs::is_regular_file(fs::symlink_status(file, error))) return std::nullopt;
  const auto size = fs::file_size(file, error);
  return error ? std::nullopt : std::optional<std::uint64_t>(size);
}

bool is_link(const fs::path& file) {
  std::error_code error;
  return fs::is_symlink(fs::symlink_status(file, error));
}

/// What a reader of the file would say of it; empty when it can be read.
std::string reader_problem(const fs::path& file) try {
  if (file.filename() == kStateFile) {
    const std::int64_t step = load_trainer_state(file.parent_path()).step;
    const auto name = parse_checkpoint(file.parent_path().filename().string());
    if (name && name->step != step) return fmt::format("is of step {}", step);
  } else if (file.extension() == ".safetensors") {
    const SafetensorsFile header(file);
  }
  return {};
} catch (const std::exception& error) {
  return error.what();
}

class Checker {
 public:
  Checker(const fs::path& directory, const std::function<void(const FileCheck&)>& told)
      : directory_(directory), told_(told) {}

  void run();
  void folder(const fs::path& name, bool must_have_manifest);

 private:
  void tell(const fs::path& name, State state, const std::string& what) const {
    told_({name.string(), size_of(directory_ / name), state, what});
  }
  void tell(const fs::path& name, const std::string& problem) const {
    tell(name, problem.empty() ? State::ok : State::damaged, problem);
  }
  void listed(const fs::path& folder, const ManifestEntry& entry) const;
  void unlisted(const fs::path& folder, const Manifest* manifest) const;
  void top(const fs::path& newest) const;
  void placed(const Manifest* newest, const ManifestEntry& entry) const;
  void latest(const fs::path& newest) const;

  fs::path directory_;
  const std::function<void(const FileCheck&)>& told_;
};

void Checker::listed(const fs::path& folder, const ManifestEntry& entry) const {
  std::string problem = problem_with(directory_ / folder, entry);
  if (problem.empty()) problem = reader_problem(directory_ / folder / entry.name);
  tell(folder / entry.name, problem);
}

void Checker::unlisted(const fs::path& folder, const Manifest* manifest) const {
  for (const std::string& name : names_in_folder(directory_ / folder)) {
    if (name == kManifestFile || (manifest != nullptr && manifest->find(name) != nullptr)) continue;
    if (!fs::is_regular_file(directory_ / folder / name)) continue;
    std::string problem = manifest != nullptr ? "" : reader_problem(directory_ / folder / name);
    const State state = problem.empty() ? State::unchecked : State::damaged;
    if (problem.empty()) problem = manifest != nullptr ? "not of this folder" : "no checksum here";
    tell(folder / name, state, problem);
  }
}

void Checker::folder(const fs::path& name, bool must_have_manifest) {
  std::optional<Manifest> manifest;
  try {
    manifest = read_manifest(directory_ / name);
  } catch (const Error& error) {
    tell(name / kManifestFile, error.what());
    return;
  }
  if (!manifest && must_have_manifest) {
    tell(name / kManifestFile, "is missing");
  }
  if (manifest) {
    for (const ManifestEntry& entry : manifest->files) listed(name, entry);
  }
  unlisted(name, manifest ? &*manifest : nullptr);
}

void Checker::latest(const fs::path& newest) const {
  const fs::path file = directory_ / kLatest;
  std::error_code error;
  if (!fs::exists(fs::symlink_status(file, error))) {
    tell(kLatest, State::stale, "is missing; the next run makes it");
    return;
  }
  try {
    require_own_latest(directory_);
  } catch (const Error&) {
    tell(kLatest, "is no link to a checkpoint");
    return;
  }
  if (is_link(file) && fs::read_symlink(file).filename() != newest.filename()) {
    tell(kLatest, State::stale,
         fmt::format("names {}, and the newest is {}; the next run mends it",
                     fs::read_symlink(file).string(), newest.filename().string()));
    return;
  }
  tell(kLatest, "");
}

/// A copy at the top, put there one by one: all of one checkpoint, or some of the newest already.
void Checker::placed(const Manifest* newest, const ManifestEntry& entry) const {
  const ManifestEntry* next = newest != nullptr ? newest->find(entry.name) : nullptr;
  if (next != nullptr && *next != entry && problem_with(directory_, *next).empty()) {
    tell(entry.name, State::stale, "is the newest checkpoint's; the next run lists it");
  } else {
    listed("", entry);
  }
}

/// What leads to the newest checkpoint: links, or files with a manifest of their own. A model is
/// opened without them.
void Checker::top(const fs::path& newest) const {
  latest(newest);
  for (const std::string& name : names_in_folder(directory_)) {
    const fs::path file = directory_ / name;
    if (!is_link(file) || name == kLatest) continue;
    if (fs::exists(file) || fs::read_symlink(file).begin()->string() != kLatest) {
      tell(name, "");
    } else {
      tell(name, State::stale, "is a link to nothing; the next run mends it");
    }
  }
  if (is_link(directory_ / kManifestFile)) return;
  try {
    const auto manifest = read_manifest(directory_);
    if (!manifest) return;
    const auto of_newest = read_manifest(newest);
    for (const ManifestEntry& entry : manifest->files) {
      if (!is_link(directory_ / entry.name)) placed(of_newest ? &*of_newest : nullptr, entry);
    }
  } catch (const Error& error) {
    tell(kManifestFile, error.what());
  }
}

void Checker::run() {
  const bool marked = RunMarker::stands_in(directory_);
  const auto checkpoints = checkpoints_in(directory_);
  for (const fs::path& checkpoint : checkpoints) folder(checkpoint.filename(), marked);
  for (const std::string& name : names_in_folder(directory_)) {
    if (name.starts_with(kUnfinished) && fs::is_directory(directory_ / name)) folder(name, true);
  }
  if (fs::is_directory(directory_ / kTokensFolder)) folder(kTokensFolder, false);
  if (!checkpoints.empty()) top(checkpoints.back());
}

bool holds_model(const fs::path& directory) {
  return std::ranges::any_of(names_in_folder(directory), [](const std::string& name) {
    return name == "config.json" || fs::path(name).extension() == ".safetensors";
  });
}

}  // namespace

void check_directory(const fs::path& directory, const std::function<void(const FileCheck&)>& told) {
  std::error_code error;
  if (!fs::is_directory(directory, error)) {
    throw InvalidArgument(fmt::format("no directory {}", directory.string()),
                          "give a run, a checkpoint or a folder with a model");
  }
  RunMarker::require_unlocked(directory, "wait for it to end, or check a copy of it");
  Checker checker(directory, told);
  if (!checkpoints_in(directory).empty() || RunMarker::stands_in(directory)) {
    checker.run();
  } else if (fs::exists(directory / kManifestFile) || holds_model(directory)) {
    checker.folder("", false);
  } else {
    throw InvalidArgument(fmt::format("{} holds neither a run nor a model", directory.string()),
                          "give a run, a checkpoint or a folder with a model");
  }
}

}  // namespace cajal::train
