#include "sync/backup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "sync/diff.h"
#include "sync/frontend/hash.h"
#include "sync/scan.h"

namespace cajal::sync {
namespace {

namespace fs = std::filesystem;

std::string reason() { return std::strerror(errno); }

std::string backup_name(const std::string& path, int number) {
  return number == 0 ? path + ".backup" : fmt::format("{}.backup.{}", path, number);
}

std::string manifest_name(const std::string& backup) { return backup + ".json"; }

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

void write_all(int file, const std::string& text, const std::string& path) {
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = ::write(file, text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) throw Failure(fmt::format("{}: cannot be written: {}", path, reason()));
    done += static_cast<std::size_t>(count);
  }
  if (::fsync(file) != 0) throw Failure(fmt::format("{}: cannot be written: {}", path, reason()));
}

/// Never over a file that is there.
void write_new(const std::string& path, const std::string& text) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (file.number() < 0) throw Failure(fmt::format("{}: cannot be made: {}", path, reason()));
  write_all(file.number(), text, path);
}

}  // namespace

void write_atomically(const std::string& path, const std::string& text) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    throw Failure(fmt::format("{}: {}", path, reason()));
  }
  if (::access(path.c_str(), W_OK) != 0) {
    throw Failure(fmt::format("{}: cannot be written: {}; check its permissions", path, reason()));
  }
  // Through a link the file itself is replaced, not the link.
  const std::string target = fs::canonical(path).string();
  std::string name = target + ".XXXXXX";
  const Descriptor file(::mkstemp(name.data()));
  if (file.number() < 0) {
    throw Failure(fmt::format("{}: its folder cannot be written: {}", path, reason()));
  }
  try {
    write_all(file.number(), text, path);
    if (::fchmod(file.number(), status.st_mode & 07777) != 0 ||
        ::rename(name.c_str(), target.c_str()) != 0) {
      throw Failure(fmt::format("{}: cannot be replaced: {}", path, reason()));
    }
  } catch (...) {
    ::unlink(name.c_str());
    throw;
  }
}

std::string write_with_backup(const std::string& path, const std::string& before,
                              const std::string& after) {
  constexpr int kMost = 1000;
  int number = 0;
  while (number < kMost && fs::exists(backup_name(path, number))) ++number;
  const std::string backup = backup_name(path, number);
  write_new(backup, before);
  const nlohmann::ordered_json manifest = {{"file", fs::path(path).filename().string()},
                                           {"backup", fs::path(backup).filename().string()},
                                           {"original_sha256", frontend::sha256(before)},
                                           {"edited_sha256", frontend::sha256(after)}};
  std::error_code ignored;
  try {
    write_new(manifest_name(backup), manifest.dump(2) + "\n");
    write_atomically(path, after);
  } catch (...) {
    fs::remove(backup, ignored);
    fs::remove(manifest_name(backup), ignored);
    throw;
  }
  return backup;
}

std::string newest_backup(const std::string& path) {
  std::string newest;
  for (int number = 0; number < 1000; ++number) {
    const std::string backup = backup_name(path, number);
    if (!fs::exists(backup)) break;
    if (fs::exists(manifest_name(backup))) newest = backup;
  }
  return newest;
}

std::string restore(const std::string& path) {
  const std::string backup = newest_backup(path);
  if (backup.empty()) throw Failure(path + ": no backup with a manifest; nothing to restore");
  const auto manifest = nlohmann::json::parse(read_file(manifest_name(backup)), nullptr, false);
  if (!manifest.is_object()) throw Failure(manifest_name(backup) + ": no manifest of cajal-sync");
  const std::string original = read_file(backup);
  const std::string current = read_file(path);
  if (frontend::sha256(original) != manifest.value("original_sha256", "")) {
    throw Failure(backup + ": not the file that was saved; its hash differs from the manifest's");
  }
  if (frontend::sha256(current) != manifest.value("edited_sha256", "")) {
    throw Failure(fmt::format("{}: edited since it was mended; not restored. What would go:\n{}",
                              path, unified_diff(current, original, path)));
  }
  write_atomically(path, original);
  fs::remove(manifest_name(backup));
  fs::remove(backup);
  return backup;
}

}  // namespace cajal::sync
