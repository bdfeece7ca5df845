#include "train/run_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <iterator>
#include <string>
#include <system_error>

#include "cajal/error.h"

namespace cajal::train {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kLatest = "latest";
constexpr std::string_view kLock = ".lock";
constexpr std::string_view kCheckpoint = "checkpoint-";
constexpr std::array<std::string_view, 2> kModelFiles{"config.json", "model.safetensors"};

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

void remove_quietly(const fs::path& path) {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

void rename_over(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) throw_file_error("write", to, errno);
}

/// checkpoint-<step>, or checkpoint-<step>.<n> when the same step was saved again.
struct CheckpointName {
  std::int64_t step = -1;
  std::int64_t again = 0;
  auto operator<=>(const CheckpointName&) const = default;
};

std::optional<CheckpointName> parse_checkpoint(const std::string& name) {
  if (!name.starts_with(kCheckpoint)) return std::nullopt;
  const char* const end = name.data() + name.size();
  CheckpointName parsed;
  auto [rest, error] = std::from_chars(name.data() + kCheckpoint.size(), end, parsed.step);
  if (error != std::errc() || parsed.step < 0) return std::nullopt;
  if (rest != end && *rest == '.') {
    const auto suffix = std::from_chars(rest + 1, end, parsed.again);
    if (suffix.ec != std::errc() || parsed.again < 1) return std::nullopt;
    rest = suffix.ptr;
  }
  return rest == end ? std::optional(parsed) : std::nullopt;
}

CheckpointName checkpoint_name(const fs::path& folder) {
  return parse_checkpoint(folder.filename().string()).value_or(CheckpointName{});
}

FileDescriptor lock_directory(const fs::path& directory) {
  const fs::path file = directory / kLock;
  FileDescriptor fd = open_file(file, O_RDWR | O_CREAT, "create");
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      std::string owner = read_file(file);
      while (!owner.empty() && owner.back() == '\n') owner.pop_back();
      throw InvalidArgument(fmt::format("{} is in use by another training (process {})",
                                        directory.string(), owner.empty() ? "unknown" : owner),
                            "wait for it to end, or choose another --out");
    }
    // Some network file systems have no locks: a run there is worth more than the guard.
    if (errno != ENOLCK && errno != ENOTSUP) throw_file_error("lock", file, errno);
  }
  // Only for the message above, so a full disk must not stop the run here.
  const std::string owner = fmt::format("{}\n", ::getpid());
  [[maybe_unused]] const bool told =
      ::ftruncate(fd.get(), 0) == 0 && ::pwrite(fd.get(), owner.data(), owner.size(), 0) > 0;
  return fd;
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

fs::path without_trailing_slash(const fs::path& path) {
  return path.has_filename() ? path : path.parent_path();
}

/// The checkpoint that `latest` names.
std::optional<fs::path> latest_in(const fs::path& run) {
  std::error_code error;
  const fs::path target = fs::read_symlink(run / kLatest, error).filename();
  if (error || !parse_checkpoint(target.string())) return std::nullopt;
  return fs::is_directory(run / target, error) ? std::optional(run / target) : std::nullopt;
}

/// Oldest first; none where the directory is missing or cannot be read.
std::vector<fs::path> checkpoints_in(const fs::path& run) {
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(run, error)) {
    if (entry.is_directory() && parse_checkpoint(entry.path().filename().string())) {
      found.push_back(entry.path());
    }
  }
  std::ranges::sort(found, {}, checkpoint_name);
  return found;
}

}  // namespace

RunDirectory::RunDirectory(fs::path path) : path_(without_trailing_slash(path)) {
  created_ = make_directory(path_);
  if (::access(path_.c_str(), R_OK | W_OK | X_OK) != 0) {
    throw InvalidArgument(fmt::format("cannot write to {}: {}", path_.string(),
                                      std::generic_category().message(errno)),
                          "choose an --out that you may write to");
  }
  refuse_foreign_model();
  lock_ = lock_directory(path_);
  remove_leftovers();
  repair_latest();
  if (latest_in(path_)) link_files();
}

RunDirectory::~RunDirectory() {
  std::error_code ignored;
  const auto entries = std::distance(fs::directory_iterator(path_, ignored), {});
  if (created_.empty() || entries > 1) return;
  fs::remove(path_ / kLock, ignored);
  for (const fs::path& part : created_) fs::remove(part, ignored);
}

std::optional<fs::path> RunDirectory::find(const fs::path& path) {
  const fs::path run = without_trailing_slash(path);
  if (auto latest = latest_in(run)) return latest;
  auto whole = checkpoints_in(run);
  return whole.empty() ? std::nullopt : std::optional(std::move(whole.back()));
}

/// A model that was put there by hand has its files, and no checkpoint: never write over it.
void RunDirectory::refuse_foreign_model() const {
  if (!checkpoints_in(path_).empty()) return;
  if (fs::exists(path_ / kLatest)) {
    throw InvalidArgument(fmt::format("{} is no link to a checkpoint", (path_ / kLatest).string()),
                          "choose another --out, or move that away");
  }
  for (const std::string_view name : kModelFiles) {
    if (fs::exists(path_ / name)) {
      throw InvalidArgument(
          fmt::format("{} holds a model, but no checkpoint of a training", path_.string()),
          "choose another --out; --init starts from that model");
    }
  }
}

void RunDirectory::remove_leftovers() const {
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::directory_iterator(path_)) {
    if (entry.path().filename().string().starts_with(kTemporaryPrefix)) {
      leftovers.push_back(entry.path());
    }
  }
  for (const fs::path& leftover : leftovers) {
    std::error_code error;
    fs::remove_all(leftover, error);
    if (error) throw_file_error("remove", leftover, error.value());
  }
}

/// After a copy that lost the links or replaced them by what they name.
void RunDirectory::repair_latest() const {
  if (latest_in(path_)) return;
  const auto whole = checkpoints_in(path_);
  const fs::path link = path_ / kLatest;
  if (whole.empty()) {
    if (fs::is_symlink(link)) fs::remove(link);
    return;
  }
  if (fs::is_directory(link) && !fs::is_symlink(link)) {
    // Out of the way by rename first, so that no moment shows it half removed.
    const fs::path copy = temporary_name(link) += "-copy";
    rename_over(link, copy);
    remove_quietly(copy);
  }
  point_link(kLatest, whole.back().filename());
}

/// Links <name> -> latest/<name> for every file of the latest checkpoint.
void RunDirectory::link_files() const {
  std::vector<fs::path> names;
  for (const auto& entry : fs::directory_iterator(path_ / kLatest)) {
    if (entry.is_regular_file()) names.push_back(entry.path().filename());
  }
  bool changed = false;
  for (const fs::path& name : names) {
    const fs::path target = fs::path(kLatest) / name;
    std::error_code error;
    if (fs::read_symlink(path_ / name, error) == target) continue;
    point_link(name, target);
    changed = true;
  }
  if (changed) sync_directory(path_);
}

/// Makes or replaces the link `name` in one step.
void RunDirectory::point_link(const fs::path& name, const fs::path& target) const {
  const fs::path temporary = temporary_name(path_ / name);
  remove_quietly(temporary);
  if (::symlink(target.c_str(), temporary.c_str()) != 0) {
    throw_file_error("link", path_ / name, errno);
  }
  OnFailure undo([&] { remove_quietly(temporary); });
  rename_over(temporary, path_ / name);
  undo.disarm();
}

std::int64_t RunDirectory::latest_step() const {
  const auto target = latest_in(path_);
  return target ? checkpoint_name(*target).step : -1;
}

fs::path RunDirectory::latest() const {
  if (auto target = latest_in(path_)) return *std::move(target);
  throw Error(fmt::format("{} has no checkpoint", path_.string()),
              "train into it first, or name another run");
}

fs::path RunDirectory::unused_name(std::int64_t step) const {
  fs::path name = fmt::format("{}{}", kCheckpoint, step);
  for (int again = 1; fs::exists(path_ / name); ++again) {
    name = fmt::format("{}{}.{}", kCheckpoint, step, again);
  }
  return name;
}

void RunDirectory::publish(std::int64_t step, const std::function<void(const fs::path&)>& write,
                           int keep) {
  const fs::path name = unused_name(step);
  const fs::path final_folder = path_ / name;
  const fs::path temporary = temporary_name(final_folder);
  OnFailure undo([&] {
    remove_quietly(temporary);
    remove_quietly(final_folder);
  });
  remove_quietly(temporary);
  if (std::error_code error; !fs::create_directory(temporary, error)) {
    throw_file_error("create", temporary, error.value());
  }
  write(temporary);
  sync_tree(temporary);
  rename_over(temporary, final_folder);
  sync_directory(path_);
  point_link(kLatest, name);
  undo.disarm();  // From here on the new checkpoint is the one that counts.
  sync_directory(path_);
  link_files();
  prune(keep);
}

/// Failing to remove an old checkpoint harms nothing; the next publish() tries again.
void RunDirectory::prune(int keep) const {
  const CheckpointName newest = checkpoint_name(latest());
  auto all = checkpoints_in(path_);
  std::ranges::reverse(all);
  int kept = 0;
  for (const fs::path& checkpoint : all) {
    if (checkpoint_name(checkpoint) <= newest && kept < std::max(keep, 1)) {
      ++kept;
      continue;
    }
    // Under a temporary name a kill half-way leaves no folder that looks whole.
    const fs::path doomed = temporary_name(checkpoint);
    std::error_code error;
    fs::rename(checkpoint, doomed, error);
    if (!error) remove_quietly(doomed);
  }
}

}  // namespace cajal::train
