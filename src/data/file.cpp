#include "data/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "cajal/error.h"
#include "data/file_error.h"

namespace cajal::data {
namespace {

/// Calls again what a signal interrupted.
template <class Call>
auto uninterrupted(Call&& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

FileDescriptor open(const std::filesystem::path& file, int flags) {
  return FileDescriptor(
      uninterrupted([&] { return ::open(file.c_str(), flags | O_CLOEXEC, 0644); }));
}

int flush(int fd) {
  return uninterrupted([&] { return ::fsync(fd); });
}

void sync_directory(const std::filesystem::path& file) {
  const auto parent = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
  const FileDescriptor directory = open(parent, O_RDONLY | O_DIRECTORY);
  // Some file systems cannot sync a directory; the rename itself has already succeeded.
  if (directory.get() >= 0) flush(directory.get());
}

}  // namespace

FileDescriptor::FileDescriptor(FileDescriptor&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)) {}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void FileDescriptor::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

InputFile::InputFile(std::filesystem::path path) : path_(std::move(path)) {
  // O_NONBLOCK: opening a pipe must not wait for its writer.
  fd_ = open(path_, O_RDONLY | O_NONBLOCK);
  if (fd_.get() < 0) throw_file_error("open", path_, errno);
}

InputFile::Status InputFile::status() const {
  struct stat status = {};
  if (::fstat(fd_.get(), &status) != 0) throw_file_error("read", path_, errno);
  if (!S_ISREG(status.st_mode)) {
    throw Error(fmt::format("{} is not a file", path_.string()), "name a file");
  }
#ifdef __APPLE__
  const timespec& modified = status.st_mtimespec;
#else
  const timespec& modified = status.st_mtim;
#endif
  return {static_cast<std::uint64_t>(status.st_size),
          std::int64_t{modified.tv_sec} * 1'000'000'000 + modified.tv_nsec};
}

std::uint64_t InputFile::size() const { return status().size; }

std::int64_t InputFile::modified_ns() const { return status().modified_ns; }

std::size_t InputFile::read_at(std::uint64_t offset, std::span<char> bytes) const {
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t count = ::pread(fd_.get(), bytes.data() + filled, bytes.size() - filled,
                                  static_cast<off_t>(offset + filled));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_file_error("read", path_, errno);
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  return filled;
}

AtomicFile::AtomicFile(std::filesystem::path path)
    : path_(std::move(path)), temporary_(path_.string() + ".partial") {
  fd_ = open(temporary_, O_WRONLY | O_CREAT | O_TRUNC);
  if (fd_.get() < 0) throw_file_error("create", path_, errno);
  pending_ = true;
}

AtomicFile::~AtomicFile() {
  fd_.close();
  if (pending_) ::unlink(temporary_.c_str());
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      fd_(std::move(other.fd_)),
      written_(other.written_),
      pending_(std::exchange(other.pending_, false)) {}

void AtomicFile::write(std::string_view bytes) {
  write_at(written_, bytes);
  written_ += bytes.size();
}

void AtomicFile::write_at(std::uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count =
        ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_file_error("write", path_, errno);
    bytes.remove_prefix(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
}

void AtomicFile::finish() {
  if (fd_.get() < 0) return;
  if (flush(fd_.get()) != 0) throw_file_error("write", path_, errno);
  fd_.close();
}

void AtomicFile::commit() {
  finish();
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) throw_file_error("write", path_, errno);
  pending_ = false;
  sync_directory(path_);
}

}  // namespace cajal::data
