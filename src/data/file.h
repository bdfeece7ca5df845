// Files held by RAII: reading, and writing that never leaves half a file under its name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace cajal::data {

class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() { close(); }
  FileDescriptor(FileDescriptor&& other) noexcept;
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;

  int get() const { return fd_; }
  void close();

 private:
  int fd_ = -1;
};

/// A file open for reading. Everything throws Error with the path and the system's reason.
class InputFile {
 public:
  explicit InputFile(std::filesystem::path path);

  std::uint64_t size() const;
  /// Nanoseconds since 1970.
  std::int64_t modified_ns() const;
  /// Fills `bytes` from `offset` on; less only at the end of the file.
  std::size_t read_at(std::uint64_t offset, std::span<char> bytes) const;
  int descriptor() const { return fd_.get(); }
  const std::filesystem::path& path() const { return path_; }

 private:
  struct Status {
    std::uint64_t size = 0;
    std::int64_t modified_ns = 0;
  };
  Status status() const;

  std::filesystem::path path_;
  FileDescriptor fd_;
};

/// Written beside its final name; takes the name in commit(), after fsync. Destroyed before that,
/// it leaves nothing behind.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;

  void write(std::string_view bytes);
  void write_at(std::uint64_t offset, std::string_view bytes);
  /// Brings the bytes to the disk and closes the file.
  void finish();
  /// finish() if need be, then takes the name.
  void commit();

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  FileDescriptor fd_;
  std::uint64_t written_ = 0;
  bool pending_ = false;  ///< The temporary file exists.
};

}  // namespace cajal::data
