// /proc, the affinity mask, and the limits of control groups (version 2, and 1 where it is
// mounted).
#include <sched.h>
#include <sys/utsname.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "runtime/cpu/host_info.h"

namespace cajal {
namespace {

namespace fs = std::filesystem;

/// The value after "key" and an optional colon, or nothing.
std::optional<std::string> field(const fs::path& file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.compare(0, key.size(), key) != 0) continue;
    const std::size_t value = line.find_first_not_of(" \t:", key.size());
    if (value != std::string::npos && value > key.size()) return line.substr(value);
  }
  return std::nullopt;
}

/// The file's first number; nothing when it has none, as "max" in a control group.
std::optional<std::size_t> number(const fs::path& file) {
  std::ifstream in(file);
  std::size_t value = 0;
  if (in >> value) return value;
  return std::nullopt;
}

std::size_t kilobytes(const std::string& key) {
  const auto value = field("/proc/meminfo", key);
  return value ? std::stoull(*value) * 1024 : 0;
}

/// This process' control group and those above it, innermost first.
std::vector<fs::path> control_groups() {
  const fs::path root = "/sys/fs/cgroup";
  std::vector<fs::path> groups;
  if (const auto own = field("/proc/self/cgroup", "0:")) {
    for (fs::path path = fs::path(*own).relative_path(); !path.empty(); path = path.parent_path()) {
      groups.push_back(root / path);
    }
  }
  groups.push_back(root);
  return groups;
}

void bound_by(HostMemory& memory, std::optional<std::size_t> limit, std::size_t used) {
  if (!limit || *limit >= memory.total) return;
  memory.total = *limit;
  memory.available = std::min(memory.available, *limit - std::min(used, *limit));
}

/// Pages that the kernel gives back when asked count as free.
std::size_t used_bytes(const fs::path& current, const fs::path& stat, const std::string& cache) {
  const std::size_t used = number(current).value_or(0);
  const auto reclaimable = field(stat, cache);
  return used - std::min<std::size_t>(used, reclaimable ? std::stoull(*reclaimable) : 0);
}

double cores_allowed(const fs::path& group) {
  std::ifstream in(group / "cpu.max");
  double quota = 0;
  double period = 0;
  if (in >> quota >> period && period > 0) return quota / period;
  return std::numeric_limits<double>::infinity();
}

double cores_allowed_v1() {
  const auto quota = number("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  const auto period = number("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  // A quota of -1 means none, and reads as an enormous unsigned number.
  if (!quota || !period || *period == 0) return std::numeric_limits<double>::infinity();
  return static_cast<double>(*quota) / static_cast<double>(*period);
}

}  // namespace

std::string processor_name() {
  if (auto name = field("/proc/cpuinfo", "model name")) return *name;
  utsname system{};
  return uname(&system) == 0 ? std::string(system.machine) : std::string("unknown processor");
}

HostMemory host_memory() {
  HostMemory memory{kilobytes("MemTotal"), kilobytes("MemAvailable")};
  for (const fs::path& group : control_groups()) {
    bound_by(memory, number(group / "memory.max"),
             used_bytes(group / "memory.current", group / "memory.stat", "inactive_file"));
  }
  const fs::path v1 = "/sys/fs/cgroup/memory";
  bound_by(memory, number(v1 / "memory.limit_in_bytes"),
           used_bytes(v1 / "memory.usage_in_bytes", v1 / "memory.stat", "total_inactive_file"));
  return memory;
}

int usable_cores() {
  // The call fails where the kernel's mask is larger than this one of 1024 processors.
  const int all = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  cpu_set_t mask;
  CPU_ZERO(&mask);
  const int cores = sched_getaffinity(0, sizeof mask, &mask) == 0 ? CPU_COUNT(&mask) : all;
  double allowed = std::min<double>(cores, cores_allowed_v1());
  for (const fs::path& group : control_groups()) allowed = std::min(allowed, cores_allowed(group));
  // A thread more than the quota would be throttled in the middle of every parallel region.
  return std::max(1, static_cast<int>(allowed));
}

}  // namespace cajal
