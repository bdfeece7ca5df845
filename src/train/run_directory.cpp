#include "train/run_directory.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <system_error>
#include <utility>

#include "cajal/error.h"
#include "train/disk_space.h"
#include "train/durable_file.h"
#include "train/retention.h"
#include "train/run_adopt.h"
#include "train/run_layout.h"

namespace cajal::train {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kModelFile = "model.safetensors";

/// Calls a function when the scope ends early.
template <class Function>
class OnFailure {
 public:
  explicit OnFailure(Function undo) : undo_(std::move(undo)) {}
  ~OnFailure() {
    if (armed_) undo_();
  }
  OnFailure(const OnFailure&) = delete;
  OnFailure& operator=(const OnFailure&) = delete;
  void disarm() { armed_ = false; }

 private:
  Function undo_;
  bool armed_ = true;
};

fs::path without_trailing_slash(const fs::path& path) {
  return path.has_filename() ? path : path.parent_path();
}

/// Creates the directory and flushes its name. Returns what was not there before, innermost first.
std::vector<fs::path> make_directory(const fs::path& path) {
  std::error_code error;
  if (fs::exists(path, error) && !fs::is_directory(path, error)) {
    throw InvalidArgument(fmt::format("{} is a file, not a directory", path.string()),
                          "choose another --out");
  }
  std::vector<fs::path> missing;
  for (fs::path part = path; !part.empty() && !fs::exists(part, error); part = part.parent_path()) {
    missing.push_back(part);
  }
  fs::create_directories(path, error);
  if (error) {
    throw InvalidArgument(fmt::format("cannot create {}: {}", path.string(), error.message()),
                          "choose an --out that you may write to");
  }
  if (!missing.empty()) sync_directory(path.parent_path());
  return missing;
}

void require_writable(const fs::path& directory) {
  if (::access(directory.c_str(), R_OK | W_OK | X_OK) == 0) return;
  throw InvalidArgument(fmt::format("cannot write to {}: {}", directory.string(),
                                    std::generic_category().message(errno)),
                        "choose an --out that you may write to");
}

[[noreturn]] void refuse_name(const fs::path& run, std::string_view name) {
  throw InvalidArgument(
      fmt::format("{} holds {}, which cajal did not make there", run.string(), name),
      "choose another --out");
}

[[noreturn]] void refuse_run(const fs::path& run) {
  throw InvalidArgument(fmt::format("{} already holds a run", run.string()),
                        "add --resume to go on with it, or name another --out");
}

/// The files in a folder of cajal's that has no manifest yet, and the folder when that was all.
void remove_half_written(const fs::path& folder) {
  for (const std::string& name : names_in_folder(folder)) ::unlink((folder / name).c_str());
  ::rmdir(folder.c_str());
}

bool is_empty_file(const fs::path& file) {
  std::error_code error;
  return fs::is_regular_file(fs::symlink_status(file, error)) && fs::file_size(file, error) == 0;
}

/// A name beside the checkpoints that no run ever removes.
fs::path keep_unfinished(const fs::path& run, const fs::path& folder) {
  fs::path kept = run / ("unfinished-" + folder.filename().string());
  for (int again = 1; fs::exists(kept); ++again) {
    kept = run / fmt::format("unfinished-{}.{}", folder.filename().string(), again);
  }
  std::error_code error;
  fs::rename(folder, kept, error);
  return error ? folder : kept;
}

/// Throws Error with `remedy` where the checkpoint is not as it was written. One that stands in no
/// run with a marker may be of an earlier cajal, which wrote no checksums.
void verify_checkpoint(const fs::path& run, const fs::path& checkpoint, std::string_view remedy) {
  if (!fs::exists(checkpoint / kManifestFile) && !RunMarker::stands_in(run)) return;
  verify(checkpoint, remedy);
}

bool is_whole(const fs::path& run, const fs::path& checkpoint) try {
  verify_checkpoint(run, checkpoint, "");
  return true;
} catch (const Error&) {
  return false;
}

/// What to do about a damaged `newest`.
std::string remedy_beside(const fs::path& run, const fs::path& newest) {
  auto all = checkpoints_in(run);
  std::ranges::reverse(all);
  for (const fs::path& other : all) {
    if (other != newest && is_whole(run, other)) {
      return fmt::format("{} is whole: move {} out of that directory to go on from there",
                         other.filename().string(), newest.filename().string());
    }
  }
  return "no other checkpoint there is whole; take this one from a copy, or begin a new run";
}

}  // namespace

RunDirectory::RunDirectory(fs::path path, Use use, std::optional<Links> links)
    : path_(without_trailing_slash(path)), created_(make_directory(path_)), use_(use) {
  OnFailure undo([&] {
    std::error_code ignored;
    if (marker_) {
      fs::remove(scratch(), ignored);
      if (marker_->made()) marker_->remove();
    }
    for (const fs::path& part : created_) fs::remove(part, ignored);
  });
  require_writable(path_);
  require_own_names(use);
  const bool adopted = use == Use::resume && !RunMarker::stands_in(path_);
  if (adopted) {
    adopt_earlier_run(path_);
    warnings_.push_back(fmt::format(
        "{} was made by an earlier cajal, without checksums; it has them now", path_.string()));
  }
  require_own_latest(path_);
  marker_.emplace(path_);
  if (!marker_->made()) require_own_names(use);  // Another process may have made it meanwhile.
  clear_scratch();
  if (::mkdir(scratch().c_str(), 0777) != 0) throw_file_error("create", scratch(), errno);
  links_ = links ? *links : usable_links(scratch());
  if (const auto newest = find(path_)) {
    for (std::string& warning : point_at(path_, *newest, scratch(), links_)) {
      warnings_.push_back(std::move(warning));
    }
  }
  undo.disarm();
}

RunDirectory::~RunDirectory() {
  try {
    if (use_ == Use::begin) discard_if_unused();
    std::error_code ignored;
    fs::remove(scratch(), ignored);
    for (const fs::path& part : created_) fs::remove(part, ignored);
  } catch (...) {
    // Memory has run out; the next start tidies up.
  }
}

void RunDirectory::discard_if_unused() {
  std::error_code error;
  const fs::path metrics = path_ / kMetricsFile;
  const bool told_nothing = !fs::exists(metrics, error) || is_empty_file(metrics);
  if (!marker_->is_in_place() || !told_nothing || !checkpoints_in(path_).empty()) return;
  ::unlink(metrics.c_str());
  remove_own_folder(path_ / kTokensFolder, scratch());
  fs::remove(scratch(), error);
  marker_->remove();
}

void RunDirectory::require_own_names(Use use) const {
  const bool marked = RunMarker::stands_in(path_);
  if (use == Use::resume) {
    if (!marked && !is_earlier_run(path_)) {
      throw InvalidArgument(fmt::format("{} holds no run to resume", path_.string()),
                            "leave --resume away to begin a run there");
    }
    return;
  }
  if (marked ? !checkpoints_in(path_).empty() : is_earlier_run(path_)) refuse_run(path_);
  if (!marked) {
    if (const auto name = name_in_the_way(path_)) refuse_name(path_, *name);
    return;
  }
  // Left by a run that ended before its first checkpoint, but not the files of a model.
  for (const std::string_view name : kCheckpointFiles) {
    std::error_code error;
    const auto status = fs::symlink_status(path_ / name, error);
    if (fs::exists(status) && !fs::is_symlink(status)) refuse_name(path_, name);
  }
}

fs::path RunDirectory::scratch() const {
  return path_ / (std::string(kTemporaryPrefix) + marker_->id());
}

/// Two levels of plain files and links are all that is ever made in it.
void RunDirectory::clear_scratch() const {
  for (const std::string& name : names_in_folder(scratch())) {
    const fs::path entry = scratch() / name;
    std::error_code error;
    if (fs::is_directory(fs::symlink_status(entry, error))) {
      remove_half_written(entry);
    } else {
      ::unlink(entry.c_str());
    }
  }
  ::rmdir(scratch().c_str());
}

std::optional<fs::path> RunDirectory::find(const fs::path& path) {
  auto all = checkpoints_in(without_trailing_slash(path));
  return all.empty() ? std::nullopt : std::optional(std::move(all.back()));
}

std::optional<fs::path> RunDirectory::find_whole(const fs::path& path) {
  const fs::path run = without_trailing_slash(path);
  auto newest = find(run);
  if (!newest) return std::nullopt;
  try {
    verify_checkpoint(run, *newest, "");
  } catch (const Error&) {
    verify_checkpoint(run, *newest, remedy_beside(run, *newest));
  }
  return newest;
}

void RunDirectory::require_unused(const fs::path& path) {
  RunMarker::require_unlocked(without_trailing_slash(path),
                              "wait for it to end, or choose another --out");
}

std::int64_t RunDirectory::latest_step() const {
  const auto newest = find(path_);
  return newest ? checkpoint_name(*newest).step : -1;
}

fs::path RunDirectory::latest() const {
  if (auto newest = find(path_)) return *std::move(newest);
  throw Error(fmt::format("{} has no checkpoint", path_.string()),
              "train into it first, or name another run");
}

std::string RunDirectory::unused_name(std::int64_t step) const {
  CheckpointName name{step, 0};
  while (fs::exists(fs::symlink_status(path_ / to_string(name)))) ++name.again;
  return to_string(name);
}

void RunDirectory::require_in_place() const {
  if (marker_->is_in_place()) return;
  throw Error(fmt::format("{} was removed or replaced while the run went on", path_.string()),
              "put it back and resume from its last checkpoint, or begin a new run");
}

/// A whole folder in scratch(), on the disk.
fs::path RunDirectory::write_folder(const std::string& name, std::optional<double> loss,
                                    const FolderWriter& write, bool keep_model) const {
  require_in_place();
  const fs::path folder = scratch() / name;
  remove_half_written(folder);
  ::mkdir(scratch().c_str(), 0777);  // Where somebody has tidied up.
  if (::mkdir(folder.c_str(), 0777) != 0) throw_file_error("create", folder, errno);
  try {
    auto known = write(folder);
    write_manifest(folder, {hash_folder(folder, std::move(known)), loss});
    sync_tree(folder);
  } catch (const std::exception& error) {
    if (!keep_model || !fs::exists(folder / kModelFile)) {
      remove_half_written(folder);
      throw;
    }
    throw Error(fmt::format("{}; the unfinished checkpoint is in {}", error.what(),
                            keep_unfinished(path_, folder).string()));
  }
  return folder;
}

std::vector<std::string> RunDirectory::publish(std::int64_t step,
                                               std::optional<double> validation_loss,
                                               const FolderWriter& write, int keep) {
  if (validation_loss && !std::isfinite(*validation_loss)) validation_loss.reset();
  const std::string name = unused_name(step);
  const fs::path checkpoint = path_ / name;
  const fs::path written = write_folder(name, validation_loss, write, !find(path_));
  if (::rename(written.c_str(), checkpoint.c_str()) != 0) {
    const int error = errno;
    throw Error(fmt::format("cannot put {} in its place: {}; it is whole in {}",
                            checkpoint.string(), std::generic_category().message(error),
                            keep_unfinished(path_, written).string()));
  }
  sync_directory(path_);  // From here on the new checkpoint is the one that counts.
  auto warnings = point_at(path_, checkpoint, scratch(), links_);
  prune_checkpoints(path_, checkpoint, keep, scratch());
  return warnings;
}

void RunDirectory::replace_folder(std::string_view name, const FolderWriter& write) {
  const fs::path place = path_ / name;
  if (const auto foreign = foreign_name_in(place)) {
    throw InvalidArgument(fmt::format("{} is not this run's: it holds {}", place.string(),
                                      (fs::path(name) / *foreign).string()),
                          "move that away, or choose another --out");
  }
  if (const auto status = fs::symlink_status(place);
      fs::exists(status) && !fs::is_directory(status)) {
    refuse_name(path_, name);
  }
  const fs::path written = write_folder(std::string(name), std::nullopt, write, false);
  // Renaming a folder over another works only where that is empty.
  const fs::path old = scratch() / random_id();
  const bool had_one = ::rename(place.c_str(), old.c_str()) == 0;
  if (::rename(written.c_str(), place.c_str()) != 0) {
    const int error = errno;
    if (had_one) ::rename(old.c_str(), place.c_str());
    remove_half_written(written);
    throw_file_error("write", place, error);
  }
  sync_directory(path_);
  remove_half_written(old);
}

void RunDirectory::remove_folder(std::string_view name) {
  remove_own_folder(path_ / name, scratch());
}

std::optional<std::string> RunDirectory::require_space(std::uint64_t checkpoint_bytes,
                                                       int keep) const {
  // Copies at the top take about as much as one checkpoint more.
  return train::require_space(path_, checkpoint_bytes, keep + (links_ == Links::copies ? 1 : 0));
}

}  // namespace cajal::train
