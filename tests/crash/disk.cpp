#include "disk.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>

namespace cajal::crash {

namespace fs = std::filesystem;

namespace {

std::string environment(const char* name) {
  const char* const value = ::getenv(name);
  return value != nullptr ? value : "";
}

std::string link_target(const std::string& link) {
  std::string target(PATH_MAX, '\0');
  const ssize_t size = ::readlink(link.c_str(), target.data(), target.size());
  target.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return target;
}

int error_named(std::string_view name) {
  constexpr std::pair<std::string_view, int> kErrors[] = {
      {"ENOSPC", ENOSPC}, {"EIO", EIO}, {"EROFS", EROFS}, {"EDQUOT", EDQUOT}, {"EACCES", EACCES}};
  for (const auto& [known, number] : kErrors) {
    if (known == name) return number;
  }
  throw std::invalid_argument("CAJAL_DISK_FAULT names no known error");
}

std::optional<Call> call_named(std::string_view name) {
  constexpr std::pair<std::string_view, Call> kCalls[] = {
      {"open", Call::open},   {"read", Call::read},     {"write", Call::write},
      {"fsync", Call::fsync}, {"rename", Call::rename}, {"name", Call::name}};
  for (const auto& [known, call] : kCalls) {
    if (known == name) return call;
  }
  if (name != "all") throw std::invalid_argument("CAJAL_DISK_FAULT names no known call");
  return std::nullopt;
}

std::optional<Fault> fault_from(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const auto word = [&] {
    const std::string_view first = text.substr(0, text.find(':'));
    text.remove_prefix(std::min(text.size(), first.size() + 1));
    return std::string(first);
  };
  Fault fault;
  fault.call = call_named(word());
  fault.nth = std::stoll(word());
  fault.error = error_named(word());
  fault.once = word() == "once";
  return fault;
}

}  // namespace

Disk& Disk::get() {
  static Disk disk;
  return disk;
}

Disk::Disk()
    : root_(environment("CAJAL_DISK_ROOT")),
      fault_(fault_from(environment("CAJAL_DISK_FAULT"))),
      from_(environment("CAJAL_DISK_FROM")),
      interrupting_(environment("CAJAL_DISK_EINTR") == "1"),
      short_writes_(environment("CAJAL_DISK_SHORT") == "1"),
      jumping_(environment("CAJAL_DISK_CLOCK") == "1") {
  counting_ = from_.empty();
  const std::string log = environment("CAJAL_DISK_LOG");
  if (!log.empty()) {
    constexpr int kFlags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
    log_ = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, log.c_str(), kFlags, 0644));
  }
}

std::optional<std::string> Disk::inside(int directory, const char* path) const {
  if (root_.empty() || path == nullptr) return std::nullopt;
  fs::path whole = path;
  if (whole.is_relative()) {
    const std::string base = directory == AT_FDCWD
                                 ? link_target("/proc/self/cwd")
                                 : link_target("/proc/self/fd/" + std::to_string(directory));
    whole = fs::path(base) / whole;
  }
  std::string name = whole.lexically_normal().string();
  if (name.size() > 1 && name.back() == '/') name.pop_back();
  if (name == root_) return "";
  if (!name.starts_with(root_ + '/')) return std::nullopt;
  return name.substr(root_.size() + 1);
}

std::optional<std::string> Disk::inside(int fd) const {
  return inside(AT_FDCWD, link_target("/proc/self/fd/" + std::to_string(fd)).c_str());
}

int Disk::fault(Call call, std::string_view path) {
  if (!counting_ && path.find(from_) != std::string_view::npos) counting_ = true;
  if (interrupting_ &&
      (call == Call::open || call == Call::read || call == Call::write || call == Call::fsync)) {
    interrupted_ = !interrupted_;
    if (interrupted_) return EINTR;
  }
  if (!fault_ || !counting_ || (fault_->call && *fault_->call != call)) return 0;
  ++calls_;
  return calls_ == fault_->nth || (calls_ > fault_->nth && !fault_->once) ? fault_->error : 0;
}

std::size_t Disk::shortened(std::size_t bytes) {
  constexpr std::size_t kShort = 4093;
  return short_writes_ ? std::min(bytes, bytes > kShort ? kShort : (bytes + 1) / 2) : bytes;
}

std::int64_t Disk::clock_jump() {
  if (!jumping_) return 0;
  // Back by years, on by years, and back again.
  constexpr std::int64_t kYear = 31'556'952;
  constexpr std::int64_t kJumps[] = {0, 3 * kYear, -5 * kYear, 1, -3600};
  return kJumps[static_cast<std::size_t>(clock_calls_++) % std::size(kJumps)];
}

void Disk::record(std::string_view line, std::string_view bytes) {
  if (log_ < 0) return;
  std::string text(line);
  text += '\n';
  if (!bytes.empty()) text.append(bytes).push_back('\n');
  for (std::string_view rest = text; !rest.empty();) {
    const auto written = ::syscall(SYS_write, log_, rest.data(), rest.size());
    if (written <= 0) ::abort();  // A log with holes would prove nothing.
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

std::int64_t Disk::id_of(int fd, bool created) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 ? id_of(status.st_dev, status.st_ino, created) : 0;
}

std::int64_t Disk::id_of(const char* path, bool created) {
  struct stat status {};
  return ::lstat(path, &status) == 0 ? id_of(status.st_dev, status.st_ino, created) : 0;
}

std::int64_t Disk::id_of(dev_t device, ino_t inode, bool created) {
  // An inode's number is given out again after its file is gone.
  auto [place, fresh] = ids_.try_emplace({device, inode}, next_id_);
  if (created) place->second = next_id_;
  if (created || fresh) ++next_id_;
  return place->second;
}

}  // namespace cajal::crash
