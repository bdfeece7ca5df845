// Checkpoints whose files all say of which step they are, so that a mixed or cut one is noticed.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "temporary_directory.h"
#include "train/run_directory.h"
#include "train/safetensors.h"
#include "train/trainer_state.h"

namespace cajal::train {

inline constexpr std::int64_t kCheckpointTensorSize = 16 * 1024;

inline std::vector<ManifestEntry> write_checkpoint(const std::filesystem::path& folder,
                                                   std::int64_t step) {
  const std::vector<std::int32_t> values(kCheckpointTensorSize, static_cast<std::int32_t>(step));
  const std::vector<NamedArray> arrays{
      {"w", DType::i32, {kCheckpointTensorSize}, std::as_bytes(std::span(values))}};
  put(folder / "config.json", std::to_string(step));
  std::vector<ManifestEntry> known;
  known.push_back(write_safetensors(folder / "model.safetensors", arrays, {{"format", "pt"}}));
  known.push_back(write_safetensors(folder / "optimizer.safetensors", arrays, {}));
  TrainerState state;
  state.step = step;
  save_trainer_state(state, folder);
  return known;
}

inline std::vector<std::string> publish(RunDirectory& directory, std::int64_t step, int keep = 1,
                                        std::optional<double> loss = std::nullopt) {
  return directory.publish(
      step, loss, [&](const auto& folder) { return write_checkpoint(folder, step); }, keep);
}

inline constexpr auto kBegin = RunDirectory::Use::begin;
inline constexpr auto kResume = RunDirectory::Use::resume;

/// Resumes where there is a run, and begins one elsewhere.
class OpenRun : public RunDirectory {
 public:
  explicit OpenRun(const std::filesystem::path& path, std::optional<Links> links = std::nullopt)
      : RunDirectory(path, RunMarker::stands_in(path) ? kResume : kBegin, links) {}
};

/// Step of the checkpoint in `folder`, all of whose files must be whole and agree.
inline std::int64_t step_of_whole_checkpoint(const std::filesystem::path& folder) {
  const std::int64_t step = load_trainer_state(folder).step;
  EXPECT_EQ(contents_of(folder / "config.json"), std::to_string(step));
  const std::vector<std::int32_t> values(kCheckpointTensorSize, static_cast<std::int32_t>(step));
  for (const char* name : {"model.safetensors", "optimizer.safetensors"}) {
    const SafetensorsFile file(folder / name);
    std::vector<std::int32_t> found(values.size());
    file.read(file.require("w", DType::i32, {kCheckpointTensorSize}), 0,
              std::as_writable_bytes(std::span(found)));
    EXPECT_TRUE(found == values) << name;
  }
  return step;
}

inline std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

inline bool has_leftovers(const std::filesystem::path& folder) {
  return std::ranges::any_of(
      names_in(folder), [](const std::string& name) { return name.starts_with(kTemporaryPrefix); });
}

}  // namespace cajal::train
