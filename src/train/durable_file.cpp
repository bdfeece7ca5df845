#include "train/durable_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <random>
#include <system_error>
#include <vector>

#include "data/parallel.h"

namespace cajal::train {

namespace fs = std::filesystem;

std::string random_id() {
  std::random_device device;
  const auto high = std::uint64_t{device()} << 32;
  return fmt::format("{:016x}", high | device());
}

fs::path temporary_name(const fs::path& file) {
  return file.parent_path() / (std::string(kTemporaryPrefix) + random_id());
}

FileDescriptor::~FileDescriptor() { close(); }

int FileDescriptor::close() {
  const int fd = std::exchange(fd_, -1);
  // After EINTR the descriptor is gone all the same.
  return fd < 0 || ::close(fd) == 0 || errno == EINTR ? 0 : errno;
}

FileDescriptor open_file(const fs::path& file, int flags, std::string_view action) {
  int fd = -1;
  do {
    fd = ::open(file.c_str(), flags | O_CLOEXEC, 0666);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) throw_file_error(action, file, errno);
  return FileDescriptor(fd);
}

void write_all(int fd, std::span<const std::byte> bytes, const fs::path& file) {
  constexpr std::size_t kLargestWrite = std::size_t{1} << 30;  // macOS refuses 2 GiB.
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), std::min(bytes.size(), kLargestWrite));
    if (written >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      throw_file_error("write", file, errno);
    }
  }
}

AtomicFile::AtomicFile(fs::path file) : AtomicFile(file, temporary_name(file)) {}

AtomicFile::AtomicFile(fs::path file, fs::path temporary)
    : file_(std::move(file)),
      temporary_(std::move(temporary)),
      fd_(open_file(temporary_, O_WRONLY | O_CREAT | O_EXCL, "create")) {}

AtomicFile::~AtomicFile() {
  if (!committed_) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  write_all(fd_.get(), bytes, file_);
  hasher_.update(bytes);
}

void AtomicFile::write_beside(std::span<const std::byte> bytes,
                              const std::function<void()>& meanwhile) {
  data::parallel_for(2, 2, [&](std::size_t, std::size_t item) {
    if (item == 0) return write_all(fd_.get(), bytes, file_);
    hasher_.update(bytes);
    meanwhile();
  });
}

ManifestEntry AtomicFile::commit() {
  if (const int error = flush_to_disk(fd_.get())) throw_file_error("write", file_, error);
  if (const int error = fd_.close()) throw_file_error("write", file_, error);
  if (::rename(temporary_.c_str(), file_.c_str()) != 0) throw_file_error("write", file_, errno);
  committed_ = true;
  sync_directory(file_.parent_path());
  return {file_.filename().string(), hasher_.bytes(), hasher_.value()};
}

ManifestEntry write_file_atomically(const fs::path& file, std::string_view contents) {
  AtomicFile out(file);
  out.write(contents);
  return out.commit();
}

std::string read_file(const fs::path& file) {
  const FileDescriptor fd = open_file(file, O_RDONLY, "read");
  std::string contents;
  constexpr std::size_t kBlock = std::size_t{1} << 16;
  for (;;) {
    const std::size_t old_size = contents.size();
    contents.resize(old_size + kBlock);
    const ssize_t got = ::read(fd.get(), contents.data() + old_size, kBlock);
    if (got < 0 && errno != EINTR) throw_file_error("read", file, errno);
    contents.resize(old_size + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) return contents;
  }
}

int flush_to_disk(int fd) {
#ifdef F_FULLFSYNC
  // On macOS fsync leaves the data in the drive's cache. Not every file system there knows this
  // call.
  if (::fcntl(fd, F_FULLFSYNC) == 0) return 0;
#endif
  int result = 0;
  do {
    result = ::fsync(fd);
  } while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

void sync_directory(const fs::path& directory) {
  const fs::path& name = directory.empty() ? fs::path(".") : directory;
  const FileDescriptor fd = open_file(name, O_RDONLY | O_DIRECTORY, "open");
  const int error = flush_to_disk(fd.get());
  // Some file systems (exFAT, SMB) cannot flush a folder, and need not.
  if (error != 0 && error != EINVAL && error != ENOTSUP && error != ENOSYS)
    throw_file_error("write", name, error);
}

void sync_tree(const fs::path& directory) {
  std::vector<fs::path> folders{directory};
  std::error_code error;
  for (auto entry = fs::recursive_directory_iterator(directory, error);
       !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    if (entry->is_symlink()) continue;
    if (entry->is_directory()) {
      folders.push_back(entry->path());
    } else if (entry->is_regular_file()) {
      const FileDescriptor fd = open_file(entry->path(), O_RDONLY, "open");
      if (const int failed = flush_to_disk(fd.get()))
        throw_file_error("write", entry->path(), failed);
    }
  }
  if (error) throw_file_error("read", directory, error.value());
  // A folder stands before its children in this list, so they are flushed first.
  for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder) sync_directory(*folder);
}

}  // namespace cajal::train
