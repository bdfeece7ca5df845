// Files that are there whole, on the disk, or not at all.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "data/file_error.h"
#include "train/checksum.h"

namespace cajal::train {

/// What is half-written has a name that begins so.
inline constexpr std::string_view kTemporaryPrefix = ".cajal-tmp-";

/// A new name in the folder of `file`, so that rename stays on one file system. Random, so that it
/// is nobody else's.
std::filesystem::path temporary_name(const std::filesystem::path& file);

/// 64 random bits as 16 hexadecimal digits.
std::string random_id();

using data::throw_file_error;

/// Owns an open file.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor();

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  /// Closes now; returns errno, or 0. Some file systems report a failed write only here.
  int close();

 private:
  int fd_ = -1;
};

/// open(2) with O_CLOEXEC; retried when a signal interrupts it. Throws Error.
FileDescriptor open_file(const std::filesystem::path& file, int flags, std::string_view action);

/// All of `bytes`, or throws Error.
void write_all(int fd, std::span<const std::byte> bytes, const std::filesystem::path& file);

/// A file that appears under its name only at commit(), already on the disk. What stood there
/// before stays until then; without commit() the destructor leaves no trace. Its checksum is
/// reckoned on the way, so that nobody has to read it again for that.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path file);
  /// Written as `temporary` first, on the same file system; refuses one that is there already.
  AtomicFile(std::filesystem::path file, std::filesystem::path temporary);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  /// The same, while another thread reckons the checksum and calls `meanwhile`, so that neither
  /// adds its time to the other's.
  void write_beside(std::span<const std::byte> bytes, const std::function<void()>& meanwhile);
  /// Flush, rename, flush the folder. Returns what a manifest says of the file.
  ManifestEntry commit();

 private:
  std::filesystem::path file_;
  std::filesystem::path temporary_;
  FileDescriptor fd_;
  Hasher hasher_;
  bool committed_ = false;
};

/// Throws Error, and leaves the old contents, if any.
ManifestEntry write_file_atomically(const std::filesystem::path& file, std::string_view contents);

/// The whole file. Throws Error.
std::string read_file(const std::filesystem::path& file);

/// Flushes an open file through the drive's own cache; returns errno, or 0.
int flush_to_disk(int fd);
/// Flushes the names in a folder: a new file survives a power cut only after this. Throws Error.
void sync_directory(const std::filesystem::path& directory);
/// Flushes every file and folder below `directory`, and itself last. Throws Error.
void sync_tree(const std::filesystem::path& directory);

}  // namespace cajal::train
