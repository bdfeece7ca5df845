#include "train/run_marker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "cajal/error.h"

namespace cajal::train {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kHead = R"({"format":1,"id":")";
constexpr std::size_t kIdDigits = 16;

/// Always as long, so that another process number can be written over it in place.
std::string marker_text(const std::string& id) {
  return fmt::format("{}{}\",\"process\":{:>10}}}\n", kHead, id, ::getpid());
}

struct Marker {
  std::string id;
  std::int64_t process = 0;
};

std::optional<Marker> parse(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || json.size() != 3) return std::nullopt;
  const auto format = json.find("format");
  const auto id = json.find("id");
  const auto process = json.find("process");
  if (format == json.end() || *format != 1 || id == json.end() || !id->is_string() ||
      process == json.end() || !process->is_number_integer()) {
    return std::nullopt;
  }
  Marker marker{id->get<std::string>(), process->get<std::int64_t>()};
  const bool plain = marker.id.size() == kIdDigits && std::ranges::all_of(marker.id, [](char c) {
                       return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                     });
  return plain ? std::optional(std::move(marker)) : std::nullopt;
}

/// The beginning of a marker, as a kill or a full disk leaves it.
bool is_cut(const std::string& text) {
  return text.size() < marker_text(std::string(kIdDigits, '0')).size() &&
         kHead.substr(0, text.size()) == std::string_view(text).substr(0, kHead.size());
}

std::string contents(int fd, const fs::path& file) {
  std::array<char, 256> bytes{};
  ssize_t got = 0;
  do {
    got = ::pread(fd, bytes.data(), bytes.size(), 0);
  } while (got < 0 && errno == EINTR);
  if (got < 0) throw_file_error("read", file, errno);
  return {bytes.data(), static_cast<std::size_t>(got)};
}

bool is_same_file(int fd, const fs::path& file) {
  struct stat open = {};
  struct stat there = {};
  return ::fstat(fd, &open) == 0 && ::lstat(file.c_str(), &there) == 0 &&
         open.st_dev == there.st_dev && open.st_ino == there.st_ino;
}

bool try_lock(int fd, int kind) {
  int result = 0;
  do {
    result = ::flock(fd, kind | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  return result == 0;
}

[[noreturn]] void refuse_in_use(int fd, const fs::path& file, std::string_view remedy) {
  const auto owner = parse(contents(fd, file));
  throw InvalidArgument(
      fmt::format("{} is in use by another training (process {})", file.parent_path().string(),
                  owner ? std::to_string(owner->process) : "unknown"),
      remedy);
}

[[noreturn]] void refuse_foreign(const fs::path& file) {
  throw InvalidArgument(fmt::format("{} was not written by this version of cajal", file.string()),
                        "choose another --out, or move that file away");
}

}  // namespace

bool RunMarker::stands_in(const fs::path& run) {
  const fs::path file = run / kFile;
  std::error_code error;
  if (!fs::exists(fs::symlink_status(file, error))) return false;
  if (!fs::is_regular_file(fs::symlink_status(file, error))) refuse_foreign(file);
  const FileDescriptor fd = open_file(file, O_RDONLY, "read");
  const std::string text = contents(fd.get(), file);
  if (parse(text)) return true;
  if (is_cut(text)) return false;
  refuse_foreign(file);
}

RunMarker::RunMarker(const fs::path& run) : file_(run / kFile) {
  // Another process may remove its marker between the opening here and the lock. Not for ever, as
  // some file systems number their files anew each time.
  for (int tries = 0; tries < 5; ++tries) {
    fd_ = open_file(file_, O_RDWR | O_CREAT | O_NOFOLLOW, "create");
    lock();
    if (is_same_file(fd_.get(), file_)) break;
  }
  const std::string text = contents(fd_.get(), file_);
  if (const auto marker = parse(text)) {
    id_ = marker->id;
  } else if (is_cut(text)) {
    id_ = random_id();
    made_ = true;
  } else {
    refuse_foreign(file_);
  }
  write();
}

void RunMarker::require_unlocked(const fs::path& run, std::string_view remedy) {
  if (!stands_in(run)) return;
  const fs::path file = run / kFile;
  const FileDescriptor fd = open_file(file, O_RDONLY, "read");
  // Shared, so that several may look at once; it ends with the descriptor.
  if (!try_lock(fd.get(), LOCK_SH) && errno == EWOULDBLOCK) refuse_in_use(fd.get(), file, remedy);
}

void RunMarker::lock() {
  // require_unlocked() of another process has it for a moment only.
  constexpr int kTries = 5;
  constexpr std::chrono::milliseconds kPause{2};
  for (int tries = 1; !try_lock(fd_.get(), LOCK_EX); ++tries) {
    const int error = errno;
    // Some network file systems have no locks: a run there is worth more than the guard.
    if (error == ENOLCK || error == ENOTSUP || error == ENOSYS || error == EINVAL) return;
    if (error != EWOULDBLOCK) throw_file_error("lock", file_, error);
    if (tries == kTries) {
      refuse_in_use(fd_.get(), file_, "wait for it to end, or choose another --out");
    }
    std::this_thread::sleep_for(kPause);
  }
}

/// A marker that stands keeps its id; the process is told for the message above alone.
void RunMarker::write() {
  const std::string text = marker_text(id_);
  if (!made_) {
    ssize_t told = 0;
    do {
      told = ::pwrite(fd_.get(), text.data(), text.size(), 0);
    } while (told < 0 && errno == EINTR);
    return;
  }
  try {
    write_all(fd_.get(), std::as_bytes(std::span(text)), file_);
    if (const int error = flush_to_disk(fd_.get())) throw_file_error("write", file_, error);
    sync_directory(file_.parent_path());
  } catch (...) {
    ::unlink(file_.c_str());
    throw;
  }
}

bool RunMarker::is_in_place() const try {
  const auto marker = parse(read_file(file_));
  return marker && marker->id == id_;
} catch (const Error&) {
  return false;
}

void RunMarker::remove() {
  if (is_in_place()) ::unlink(file_.c_str());
}

}  // namespace cajal::train
