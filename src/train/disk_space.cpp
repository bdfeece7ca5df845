#include "train/disk_space.h"

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "cajal/error.h"

namespace cajal::train {

namespace fs = std::filesystem;

namespace {

std::string gigabytes(double bytes) {
  return bytes < 1e8 ? fmt::format("{:.1f} MB", bytes * 1e-6)
                     : fmt::format("{:.1f} GB", bytes * 1e-9);
}

fs::path existing_part(const fs::path& path) {
  std::error_code error;
  fs::path part = fs::absolute(path, error);
  while (!fs::exists(part, error) && part.has_relative_path()) part = part.parent_path();
  return part;
}

}  // namespace

std::optional<std::uint64_t> free_space(const fs::path& path) {
  struct statvfs status = {};
  int result = 0;
  do {
    result = ::statvfs(existing_part(path).c_str(), &status);
  } while (result != 0 && errno == EINTR);
  // Some network file systems answer with zeros.
  if (result != 0 || status.f_blocks == 0) return std::nullopt;
  return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

std::optional<std::string> require_space(const fs::path& path, std::uint64_t checkpoint_bytes,
                                         int keep) {
  const auto free = free_space(path);
  if (!free || checkpoint_bytes == 0) return std::nullopt;
  const std::string figures = fmt::format("a checkpoint takes {}, and {} has {} free",
                                          gigabytes(static_cast<double>(checkpoint_bytes)),
                                          path.string(), gigabytes(static_cast<double>(*free)));
  if (*free < checkpoint_bytes) {
    throw InvalidArgument(figures, "free some space, or choose an --out on another disk");
  }
  // In floating point, because absurd numbers overflow integers.
  const double wanted = static_cast<double>(checkpoint_bytes) * (std::max(keep, 1) + 2.0);
  if (static_cast<double>(*free) >= wanted) return std::nullopt;
  return fmt::format("{}; with those kept, the best and the one being written up to {} are needed",
                     figures, gigabytes(wanted));
}

}  // namespace cajal::train
