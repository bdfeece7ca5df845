// The C library's calls that reach the disk, in front of its own: preloaded into the program under
// test. Calls on files outside CAJAL_DISK_ROOT go through untouched.
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>

#include "disk.h"

using cajal::crash::Call;
using cajal::crash::Disk;

namespace {

/// The C library's own function of that name.
template <class Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

#define REAL(name) static auto* const real_##name = real<decltype(::name)>(#name)

int fail(int error) {
  errno = error;
  return -1;
}

/// Runs `call` on a name below the root under the lock; records `line` when it succeeds.
template <class Function, class Line>
int name_call(Call kind, const std::string& path, Function&& call, Line&& line) {
  Disk& disk = Disk::get();
  const auto lock = disk.lock();
  if (const int error = disk.fault(kind, path)) return fail(error);
  const int result = call();
  if (result == 0) disk.record(line());
  return result;
}

bool exists(int directory, const char* path) {
  struct stat status {};
  return ::fstatat(directory, path, &status, 0) == 0;
}

/// `call` opens; the log learns of a new file or of one that was emptied.
template <class Function>
int open_call(int directory, const char* path, int flags, Function&& call) {
  Disk& disk = Disk::get();
  const auto lock = disk.lock();
  const auto inside = disk.inside(directory, path);
  if (!inside) return call();
  const bool writes = (flags & O_ACCMODE) != O_RDONLY;
  if (writes) {
    if (const int error = disk.fault(Call::open, *inside)) return fail(error);
  }
  const bool created = (flags & O_CREAT) != 0 && !exists(directory, path);
  const int fd = call();
  if (fd < 0) return fd;
  const std::string id = std::to_string(disk.id_of(fd, created));
  if (created) {
    disk.record("creat\t" + id + "\t" + *inside);
  } else if (writes && (flags & O_TRUNC) != 0) {
    disk.record("trunc\t" + id + "\t0");
  }
  return fd;
}

mode_t mode_of(int flags, va_list arguments) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

/// Where the next write to `fd` will go.
std::int64_t write_position(int fd) {
  if ((::fcntl(fd, F_GETFL) & O_APPEND) != 0) {
    struct stat status {};
    return ::fstat(fd, &status) == 0 ? status.st_size : 0;
  }
  return ::lseek(fd, 0, SEEK_CUR);
}

/// `call(n)` writes the first n of `bytes` at `position`.
template <class Function>
ssize_t write_call(int fd, std::string_view bytes, std::int64_t position, Function&& call) {
  Disk& disk = Disk::get();
  const auto lock = disk.lock();
  const auto inside = disk.inside(fd);
  if (!inside) return call(bytes.size());
  if (const int error = disk.fault(Call::write, *inside)) return fail(error);
  if (position < 0) position = write_position(fd);
  const ssize_t written = call(disk.shortened(bytes.size()));
  if (written > 0) {
    disk.record("write\t" + std::to_string(disk.id_of(fd, false)) + "\t" +
                    std::to_string(position) + "\t" + std::to_string(written),
                bytes.substr(0, static_cast<std::size_t>(written)));
  }
  return written;
}

template <class Function>
ssize_t read_call(int fd, Function&& call) {
  Disk& disk = Disk::get();
  const auto lock = disk.lock();
  if (const auto inside = disk.inside(fd)) {
    if (const int error = disk.fault(Call::read, *inside)) return fail(error);
  }
  return call();
}

template <class Function>
int sync_call(int fd, Function&& call) {
  Disk& disk = Disk::get();
  const auto lock = disk.lock();
  const auto inside = disk.inside(fd);
  if (!inside) return call();
  if (const int error = disk.fault(Call::fsync, *inside)) return fail(error);
  const int result = call();
  if (result == 0) disk.record("fsync\t" + std::to_string(disk.id_of(fd, false)));
  return result;
}

int truncate_call(int fd, off_t length) {
  REAL(ftruncate);
  Disk& disk = Disk::get();
  const auto lock = disk.lock();
  const auto inside = disk.inside(fd);
  const int result = real_ftruncate(fd, length);
  if (inside && result == 0) {
    disk.record("trunc\t" + std::to_string(disk.id_of(fd, false)) + "\t" + std::to_string(length));
  }
  return result;
}

int rename_call(int from_directory, const char* from, int to_directory, const char* to) {
  REAL(renameat);
  const auto old_name = Disk::get().inside(from_directory, from);
  const auto new_name = Disk::get().inside(to_directory, to);
  const auto call = [&] { return real_renameat(from_directory, from, to_directory, to); };
  if (!old_name || !new_name) return call();
  return name_call(Call::rename, *new_name, call,
                   [&] { return "rename\t" + *old_name + "\t" + *new_name; });
}

int make_directory_call(int directory, const char* path, mode_t mode) {
  REAL(mkdirat);
  const auto inside = Disk::get().inside(directory, path);
  const auto call = [&] { return real_mkdirat(directory, path, mode); };
  if (!inside) return call();
  return name_call(Call::name, *inside, call, [&] {
    const int fd = ::openat(directory, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_PATH);
    const std::string id = std::to_string(Disk::get().id_of(fd, true));
    ::close(fd);
    return "mkdir\t" + id + "\t" + *inside;
  });
}

int remove_call(int directory, const char* path, bool folder) {
  REAL(unlinkat);
  const auto inside = Disk::get().inside(directory, path);
  const auto call = [&] { return real_unlinkat(directory, path, folder ? AT_REMOVEDIR : 0); };
  if (!inside) return call();
  return name_call(Call::name, *inside, call,
                   [&] { return (folder ? "rmdir\t" : "unlink\t") + *inside; });
}

int symlink_call(const char* target, int directory, const char* path) {
  REAL(symlinkat);
  const auto inside = Disk::get().inside(directory, path);
  const auto call = [&] { return real_symlinkat(target, directory, path); };
  if (!inside) return call();
  return name_call(Call::name, *inside, call,
                   [&] { return "symlink\t" + std::string(target) + "\t" + *inside; });
}

int link_call(const char* from, const char* to) {
  REAL(link);
  const auto old_name = Disk::get().inside(AT_FDCWD, from);
  const auto new_name = Disk::get().inside(AT_FDCWD, to);
  const auto call = [&] { return real_link(from, to); };
  if (!old_name || !new_name) return call();
  return name_call(Call::name, *new_name, call,
                   [&] { return "link\t" + *old_name + "\t" + *new_name; });
}

int clock_call(clockid_t clock, timespec* now) {
  REAL(clock_gettime);
  const int result = real_clock_gettime(clock, now);
  if (result == 0 && clock == CLOCK_REALTIME) now->tv_sec += Disk::get().clock_jump();
  return result;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  REAL(open);
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return open_call(AT_FDCWD, path, flags, [&] { return real_open(path, flags, mode); });
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return ::open(path, flags, mode);
}

int openat(int directory, const char* path, int flags, ...) {
  REAL(openat);
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  // O_PATH: our own look at a new folder, under the lock.
  if ((flags & O_PATH) != 0) return real_openat(directory, path, flags, mode);
  return open_call(directory, path, flags,
                   [&] { return real_openat(directory, path, flags, mode); });
}

int openat64(int directory, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return ::openat(directory, path, flags, mode);
}

int creat(const char* path, mode_t mode) {
  return ::open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

FILE* fopen(const char* path, const char* mode) {
  REAL(fopen);
  const std::string_view text = mode;
  const bool plus = text.find('+') != std::string_view::npos;
  int flags = plus ? O_RDWR : text.starts_with('r') ? O_RDONLY : O_WRONLY;
  if (text.starts_with('w')) flags |= O_CREAT | O_TRUNC;
  if (text.starts_with('a')) flags |= O_CREAT | O_APPEND;
  FILE* file = nullptr;
  open_call(AT_FDCWD, path, flags, [&] {
    file = real_fopen(path, mode);
    return file != nullptr ? ::fileno(file) : -1;
  });
  return file;
}

FILE* fopen64(const char* path, const char* mode) { return ::fopen(path, mode); }

ssize_t write(int fd, const void* bytes, size_t count) {
  REAL(write);
  return write_call(fd, {static_cast<const char*>(bytes), count}, -1,
                    [&](std::size_t n) { return real_write(fd, bytes, n); });
}

ssize_t pwrite(int fd, const void* bytes, size_t count, off_t offset) {
  REAL(pwrite);
  return write_call(fd, {static_cast<const char*>(bytes), count}, offset,
                    [&](std::size_t n) { return real_pwrite(fd, bytes, n, offset); });
}

ssize_t pwrite64(int fd, const void* bytes, size_t count, off64_t offset) {
  return ::pwrite(fd, bytes, count, offset);
}

ssize_t writev(int fd, const iovec* parts, int count) {
  REAL(write);
  std::string bytes;
  for (int i = 0; i < count; ++i)
    bytes.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
  return write_call(fd, bytes, -1, [&](std::size_t n) { return real_write(fd, bytes.data(), n); });
}

ssize_t read(int fd, void* bytes, size_t count) {
  REAL(read);
  return read_call(fd, [&] { return real_read(fd, bytes, count); });
}

ssize_t pread(int fd, void* bytes, size_t count, off_t offset) {
  REAL(pread);
  return read_call(fd, [&] { return real_pread(fd, bytes, count, offset); });
}

ssize_t pread64(int fd, void* bytes, size_t count, off64_t offset) {
  return ::pread(fd, bytes, count, offset);
}

int fsync(int fd) {
  REAL(fsync);
  return sync_call(fd, [&] { return real_fsync(fd); });
}

int fdatasync(int fd) {
  REAL(fdatasync);
  return sync_call(fd, [&] { return real_fdatasync(fd); });
}

int ftruncate(int fd, off_t length) noexcept { return truncate_call(fd, length); }
int ftruncate64(int fd, off64_t length) noexcept { return truncate_call(fd, length); }

int rename(const char* from, const char* to) noexcept {
  return rename_call(AT_FDCWD, from, AT_FDCWD, to);
}
int renameat(int from_directory, const char* from, int to_directory, const char* to) noexcept {
  return rename_call(from_directory, from, to_directory, to);
}
int mkdir(const char* path, mode_t mode) noexcept {
  return make_directory_call(AT_FDCWD, path, mode);
}
int mkdirat(int directory, const char* path, mode_t mode) noexcept {
  return make_directory_call(directory, path, mode);
}
int unlink(const char* path) noexcept { return remove_call(AT_FDCWD, path, false); }
int unlinkat(int directory, const char* path, int flags) noexcept {
  return remove_call(directory, path, (flags & AT_REMOVEDIR) != 0);
}
int rmdir(const char* path) noexcept { return remove_call(AT_FDCWD, path, true); }
int remove(const char* path) noexcept {
  struct stat status {};
  const bool folder = ::lstat(path, &status) == 0 && S_ISDIR(status.st_mode);
  return remove_call(AT_FDCWD, path, folder);
}
int symlink(const char* target, const char* path) noexcept {
  return symlink_call(target, AT_FDCWD, path);
}
int symlinkat(const char* target, int directory, const char* path) noexcept {
  return symlink_call(target, directory, path);
}
int link(const char* from, const char* to) noexcept { return link_call(from, to); }

int clock_gettime(clockid_t clock, timespec* now) noexcept { return clock_call(clock, now); }

time_t time(time_t* out) noexcept {
  timespec now{};
  clock_call(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}

}  // extern "C"
