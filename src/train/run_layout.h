// The names in a run directory, and which checkpoint counts.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cajal::train {

inline constexpr std::string_view kLatest = "latest";
inline constexpr std::string_view kTokensFolder = "tokens";
inline constexpr std::string_view kMetricsFile = "metrics.jsonl";
inline constexpr std::string_view kStateFile = "trainer_state.json";

/// What a checkpoint of cajal's may hold besides its manifest.
inline constexpr std::array<std::string_view, 5> kCheckpointFiles{
    "config.json", "model.safetensors", "optimizer.safetensors", "tokenizer.json", kStateFile};
/// Those of them that a model without its training does not need.
inline constexpr std::array<std::string_view, 2> kResumeFiles{"optimizer.safetensors", kStateFile};

/// checkpoint-<step>, or checkpoint-<step>.<n> when the same step was saved again.
struct CheckpointName {
  std::int64_t step = -1;
  std::int64_t again = 0;
  auto operator<=>(const CheckpointName&) const = default;
};

std::optional<CheckpointName> parse_checkpoint(std::string_view name);
std::string to_string(const CheckpointName& name);
CheckpointName checkpoint_name(const std::filesystem::path& folder);

/// The folders that hold a checkpoint of cajal's, oldest first; none where the directory is missing
/// or cannot be read. A folder of such a name without manifest and without state is somebody else's
/// or half removed, and not among them.
std::vector<std::filesystem::path> checkpoints_in(const std::filesystem::path& run);

/// The names in `folder`, in order; none where it is missing or cannot be read.
std::vector<std::string> names_in_folder(const std::filesystem::path& folder);

/// The first name in `folder` that a run would write, or nothing.
std::optional<std::string> name_in_the_way(const std::filesystem::path& folder);

}  // namespace cajal::train
