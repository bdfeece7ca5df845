#include "train/run_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <system_error>

#include "train/manifest.h"

namespace cajal::train {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kCheckpoint = "checkpoint-";

bool is_checkpoint(const fs::directory_entry& entry) {
  std::error_code error;
  return entry.is_directory(error) && parse_checkpoint(entry.path().filename().string()) &&
         (fs::exists(entry.path() / kManifestFile, error) ||
          fs::exists(entry.path() / kStateFile, error));
}

bool is_name_of_a_run(std::string_view name) {
  return std::ranges::find(kCheckpointFiles, name) != kCheckpointFiles.end() || name == kLatest ||
         name == kTokensFolder || name == kMetricsFile || name == kManifestFile ||
         parse_checkpoint(name);
}

}  // namespace

std::optional<CheckpointName> parse_checkpoint(std::string_view name) {
  if (!name.starts_with(kCheckpoint)) return std::nullopt;
  const char* const end = name.data() + name.size();
  CheckpointName parsed;
  auto [rest, error] = std::from_chars(name.data() + kCheckpoint.size(), end, parsed.step);
  if (error != std::errc() || parsed.step < 0) return std::nullopt;
  if (rest != end && *rest == '.') {
    const auto suffix = std::from_chars(rest + 1, end, parsed.again);
    if (suffix.ec != std::errc() || parsed.again < 1) return std::nullopt;
    rest = suffix.ptr;
  }
  return rest == end ? std::optional(parsed) : std::nullopt;
}

std::string to_string(const CheckpointName& name) {
  return name.again == 0 ? fmt::format("{}{}", kCheckpoint, name.step)
                         : fmt::format("{}{}.{}", kCheckpoint, name.step, name.again);
}

CheckpointName checkpoint_name(const fs::path& folder) {
  return parse_checkpoint(folder.filename().string()).value_or(CheckpointName{});
}

std::vector<fs::path> checkpoints_in(const fs::path& run) {
  std::vector<fs::path> found;
  std::error_code error;
  for (auto entry = fs::directory_iterator(run, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    if (is_checkpoint(*entry)) found.push_back(entry->path());
  }
  std::ranges::sort(found, {}, checkpoint_name);
  return found;
}

std::vector<std::string> names_in_folder(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto entry = fs::directory_iterator(folder, error);
       !error && entry != fs::directory_iterator(); entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

std::optional<std::string> name_in_the_way(const fs::path& folder) {
  for (std::string& name : names_in_folder(folder)) {
    if (!is_name_of_a_run(name)) continue;
    if (fs::is_directory(folder / name)) name += '/';
    return std::move(name);
  }
  return std::nullopt;
}

}  // namespace cajal::train
