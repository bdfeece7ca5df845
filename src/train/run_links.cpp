#include "train/run_links.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <system_error>

#include "cajal/error.h"
#include "train/durable_file.h"
#include "train/manifest.h"
#include "train/run_layout.h"

namespace cajal::train {

namespace fs = std::filesystem;

namespace {

bool is_link(const fs::path& path) {
  std::error_code error;
  return fs::is_symlink(fs::symlink_status(path, error));
}

bool is_missing(const fs::path& path) {
  std::error_code error;
  return !fs::exists(fs::symlink_status(path, error));
}

bool is_plain_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(fs::symlink_status(path, error));
}

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(fs::symlink_status(path, error));
}

bool cannot_be_done_here(int error) {
  return error == EPERM || error == ENOTSUP || error == EOPNOTSUPP || error == ENOSYS ||
         error == EMLINK || error == EINVAL || error == EACCES;
}

void rename_over(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) throw_file_error("write", to, errno);
}

/// The text of `latest` where there are no links.
bool names_a_checkpoint(const fs::path& file) {
  constexpr std::uintmax_t kLongest = 64;
  std::error_code error;
  if (fs::file_size(file, error) > kLongest || error) return false;
  std::string text = read_file(file);
  if (!text.ends_with('\n')) return false;
  text.pop_back();
  return parse_checkpoint(text).has_value();
}

/// A damaged one lists nothing.
std::optional<Manifest> own_manifest(const fs::path& folder) try {
  return read_manifest(folder);
} catch (const Error&) {
  return std::nullopt;
}

/// A copy of the directory that followed its links has a folder there.
bool is_copy_of_checkpoint(const fs::path& folder) {
  const auto manifest = own_manifest(folder);
  return manifest && std::ranges::all_of(names_in_folder(folder), [&](const std::string& name) {
           return name == kManifestFile || manifest->find(name) != nullptr;
         });
}

bool is_own_latest(const fs::path& latest) {
  if (is_missing(latest)) return true;
  if (is_link(latest)) return parse_checkpoint(fs::read_symlink(latest).string()).has_value();
  return is_plain_file(latest) ? names_a_checkpoint(latest) : is_copy_of_checkpoint(latest);
}

std::vector<Manifest> manifests_of(const fs::path& run) {
  std::vector<fs::path> folders = checkpoints_in(run);
  folders.push_back(run);
  std::vector<Manifest> manifests;
  for (const fs::path& folder : folders) {
    if (auto manifest = own_manifest(folder)) manifests.push_back(*std::move(manifest));
  }
  return manifests;
}

/// Replaces the names at the top of one run.
class Pointers {
 public:
  Pointers(const fs::path& run, const fs::path& scratch)
      : run_(run), scratch_(scratch), manifests_(manifests_of(run)) {
    if (!is_link(run / kManifestFile)) placed_ = own_manifest(run);
  }

  void point(const fs::path& checkpoint, Links links);
  std::vector<std::string> warnings;

 private:
  bool is_own(const std::string& name) const;
  bool is_placed(const ManifestEntry& entry) const;
  void take_away(const fs::path& path) const;
  fs::path free_temporary() const;
  void link(const std::string& name, const fs::path& target);
  void link_all(const Manifest& manifest);
  void drop_stale(const Manifest& manifest) const;
  void write_latest(const fs::path& checkpoint) const;
  void place_all(const fs::path& checkpoint, const Manifest& manifest, Links links);
  void place(const fs::path& source, const fs::path& target, Links links) const;

  fs::path run_;
  fs::path scratch_;
  std::vector<Manifest> manifests_;  ///< Whose files may stand at the top.
  std::optional<Manifest> placed_;   ///< What place_all() has put there before.
};

/// A link into `latest`, or a file as large as one that some checkpoint here lists by that name.
bool Pointers::is_own(const std::string& name) const {
  const fs::path file = run_ / name;
  if (is_missing(file)) return true;
  if (is_link(file)) return fs::read_symlink(file) == fs::path(kLatest) / name;
  if (!is_plain_file(file)) return false;
  if (name == kManifestFile) return own_manifest(run_).has_value();
  const auto bytes = fs::file_size(file);
  return std::ranges::any_of(manifests_, [&](const Manifest& manifest) {
    const ManifestEntry* entry = manifest.find(name);
    return entry != nullptr && entry->bytes == bytes;
  });
}

bool Pointers::is_placed(const ManifestEntry& entry) const {
  const ManifestEntry* before = placed_ ? placed_->find(entry.name) : nullptr;
  return before != nullptr && *before == entry && is_plain_file(run_ / entry.name) &&
         problem_with(run_, entry, false).empty();
}

fs::path Pointers::free_temporary() const { return scratch_ / random_id(); }

/// Out of the way by rename first, so that no moment shows it half removed.
void Pointers::take_away(const fs::path& path) const {
  if (!is_folder(path)) {
    ::unlink(path.c_str());
    return;
  }
  const fs::path doomed = free_temporary();
  rename_over(path, doomed);
  remove_listed(doomed);
}

void Pointers::link(const std::string& name, const fs::path& target) {
  const fs::path place = run_ / name;
  if (is_link(place) && fs::read_symlink(place) == target) return;
  const fs::path temporary = free_temporary();
  if (::symlink(target.c_str(), temporary.c_str()) != 0) throw_file_error("link", place, errno);
  if (::rename(temporary.c_str(), place.c_str()) == 0) return;
  const int error = errno;
  ::unlink(temporary.c_str());
  throw_file_error("link", place, error);
}

void Pointers::link_all(const Manifest& manifest) {
  std::vector<std::string> names{std::string(kManifestFile)};
  for (const ManifestEntry& entry : manifest.files) names.push_back(entry.name);
  for (const std::string& name : names) {
    if (is_own(name)) {
      link(name, fs::path(kLatest) / name);
    } else {
      warnings.push_back(fmt::format("{} is not this run's and was left; the checkpoint's is {}",
                                     (run_ / name).string(), (run_ / kLatest / name).string()));
    }
  }
  drop_stale(manifest);
}

/// Links to what an earlier checkpoint had and this one has not.
void Pointers::drop_stale(const Manifest& manifest) const {
  for (const std::string& name : names_in_folder(run_)) {
    const fs::path file = run_ / name;
    if (name != kManifestFile && manifest.find(name) == nullptr && is_link(file) &&
        fs::read_symlink(file) == fs::path(kLatest) / name) {
      ::unlink(file.c_str());
    }
  }
}

void Pointers::write_latest(const fs::path& checkpoint) const {
  const fs::path latest = run_ / kLatest;
  if (is_folder(latest)) take_away(latest);
  AtomicFile file(latest, free_temporary());
  file.write(checkpoint.filename().string() + '\n');
  file.commit();
}

void Pointers::place(const fs::path& source, const fs::path& target, Links links) const {
  const fs::path temporary = free_temporary();
  try {
    if (links != Links::hard || ::link(source.c_str(), temporary.c_str()) != 0) {
      std::error_code error;
      fs::copy_file(source, temporary, error);
      if (error) throw_file_error("copy", target, error.value());
      const FileDescriptor fd = open_file(temporary, O_RDONLY, "open");
      if (const int failed = flush_to_disk(fd.get())) throw_file_error("write", target, failed);
    }
    rename_over(temporary, target);
    ::unlink(temporary.c_str());  // Renaming one name of a file over another of it does nothing.
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
}

/// Files one by one, and what they are last, so that a kill between leaves no wrong list.
void Pointers::place_all(const fs::path& checkpoint, const Manifest& manifest, Links links) {
  Manifest placed;
  for (const ManifestEntry& entry : manifest.files) {
    if (std::ranges::find(kResumeFiles, entry.name) != kResumeFiles.end()) continue;
    if (!is_own(entry.name)) {
      warnings.push_back(fmt::format("{} is not this run's and was left; the checkpoint's is {}",
                                     (run_ / entry.name).string(),
                                     (checkpoint / entry.name).string()));
      continue;
    }
    if (!is_placed(entry)) place(checkpoint / entry.name, run_ / entry.name, links);
    placed.files.push_back(entry);
  }
  if (placed_ == placed || !is_own(std::string(kManifestFile))) return;
  write_manifest(scratch_, placed);
  rename_over(scratch_ / kManifestFile, run_ / kManifestFile);
}

void Pointers::point(const fs::path& checkpoint, Links links) {
  const auto manifest = read_manifest(checkpoint);
  if (!manifest) return;
  require_own_latest(run_);
  if (links == Links::symbolic) {
    if (is_folder(run_ / kLatest)) take_away(run_ / kLatest);
    link(std::string(kLatest), checkpoint.filename());
    link_all(*manifest);
  } else {
    write_latest(checkpoint);
    place_all(checkpoint, *manifest, links);
  }
  sync_directory(run_);
}

}  // namespace

Links usable_links(const fs::path& scratch) {
  const fs::path link = scratch / random_id();
  if (::symlink("nowhere", link.c_str()) == 0) {
    ::unlink(link.c_str());
    return Links::symbolic;
  }
  if (!cannot_be_done_here(errno)) throw_file_error("link", link, errno);
  const fs::path file = scratch / random_id();
  open_file(file, O_WRONLY | O_CREAT | O_EXCL, "create");
  const bool linked = ::link(file.c_str(), link.c_str()) == 0;
  ::unlink(link.c_str());
  ::unlink(file.c_str());
  return linked ? Links::hard : Links::copies;
}

void require_own_latest(const fs::path& run) {
  if (is_own_latest(run / kLatest)) return;
  throw InvalidArgument(fmt::format("{} is no link to a checkpoint", (run / kLatest).string()),
                        "choose another --out, or move that away");
}

std::vector<std::string> point_at(const fs::path& run, const fs::path& checkpoint,
                                  const fs::path& scratch, Links links) noexcept try {
  Pointers pointers(run, scratch);
  try {
    pointers.point(checkpoint, links);
  } catch (const std::exception& error) {
    pointers.warnings.push_back(
        fmt::format("{}; the checkpoint is whole in {}", error.what(), checkpoint.string()));
  }
  return std::move(pointers.warnings);
} catch (...) {
  return {};
}

}  // namespace cajal::train
