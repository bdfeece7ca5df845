// What the preloaded library knows of the run under test: which files are its own, what is to be
// written down of them, and which calls are to fail.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace cajal::crash {

/// Kinds of calls that a fault can name.
enum class Call : std::uint8_t { open, read, write, fsync, rename, name };

/// CAJAL_DISK_FAULT=CALL:NTH:ERRNO[:once]: the NTH such call within the root fails with that
/// number, and so do all later ones of its kind unless "once" stands there. CAJAL_DISK_FROM=TEXT
/// starts the count at the first call on a path that contains TEXT. CALL is open (for writing),
/// read, write, fsync, rename, name (mkdir, link, symlink, unlink, rmdir) or all.
struct Fault {
  std::optional<Call> call;  ///< None: every kind.
  std::int64_t nth = 0;
  int error = 0;
  bool once = false;
};

/// One per process, because the C library's calls carry no object. Everything is under one lock, so
/// that the log has the order in which the kernel saw the calls.
class Disk {
 public:
  static Disk& get();

  std::unique_lock<std::mutex> lock() { return std::unique_lock(mutex_); }

  /// `path` as the log names it, below the root; nothing outside. "" is the root itself.
  std::optional<std::string> inside(int directory, const char* path) const;
  /// The same for what an open descriptor names now.
  std::optional<std::string> inside(int fd) const;

  /// The errno with which the call is to fail, or 0. Counts it.
  int fault(Call call, std::string_view path);
  /// How much of a write is to be made: all of it, or less with CAJAL_DISK_SHORT=1.
  std::size_t shortened(std::size_t bytes);
  /// Seconds by which the wall clock is off at this call, with CAJAL_DISK_CLOCK=1.
  std::int64_t clock_jump();

  /// To the log of CAJAL_DISK_LOG: one line, and the bytes of a write after it.
  void record(std::string_view line, std::string_view bytes = {});

  /// A number for the file or folder behind a descriptor or a path, the same for its life.
  std::int64_t id_of(int fd, bool created);
  std::int64_t id_of(const char* path, bool created);

 private:
  Disk();
  std::int64_t id_of(dev_t device, ino_t inode, bool created);

  std::mutex mutex_;
  std::string root_;
  int log_ = -1;
  std::optional<Fault> fault_;
  std::string from_;
  bool counting_ = false;
  bool interrupting_ = false;  ///< CAJAL_DISK_EINTR=1: every call fails once, then succeeds.
  bool interrupted_ = false;
  bool short_writes_ = false;
  bool jumping_ = false;
  std::int64_t calls_ = 0;
  std::int64_t clock_calls_ = 0;
  std::map<std::pair<dev_t, ino_t>, std::int64_t> ids_;
  std::int64_t next_id_ = 1;
};

}  // namespace cajal::crash
