// Tells whether text files are still what they were when they were encoded.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace cajal::train {

struct TextStamp {
  std::string path;
  std::uint64_t bytes = 0;
  std::int64_t modified_ns = 0;
  /// XXH3-64 of the contents, of files over 4 MiB of blocks spread over them.
  std::uint64_t xxh3 = 0;
};

/// Throws Error when the file cannot be read.
TextStamp stamp_of(const std::filesystem::path& file);

/// Those of files that can be read.
std::vector<TextStamp> stamps_of(const std::vector<std::filesystem::path>& files);

/// "3 of 120 files changed, 1 is gone, 2 are new"; empty when nothing is. Reads a file only when
/// its time differs and its size does not.
std::string describe_changes(const std::vector<TextStamp>& before,
                             const std::vector<std::filesystem::path>& files);

nlohmann::json to_json(const std::vector<TextStamp>& stamps);
/// Throws nlohmann::json::exception for anything else than to_json() gives.
std::vector<TextStamp> stamps_from_json(const nlohmann::json& json);

}  // namespace cajal::train
