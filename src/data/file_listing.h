// The files under the paths that a user names, without what is not meant.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace cajal::data {

/// The file that marks a run's directory.
inline constexpr const char* kRunMarker = ".cajal-run";

struct FileListing {
  std::vector<std::filesystem::path> files;   ///< Sorted, each once.
  std::vector<std::filesystem::path> shards;  ///< Token shards among what directories hold.
  std::int64_t hidden = 0;      ///< Files and directories whose names begin with a dot.
  std::int64_t runs = 0;        ///< Run directories, passed over.
  std::int64_t unreadable = 0;  ///< Directories.
};

/// Whether `directory` is a run's: it has the marker, or `latest` beside a checkpoint-N/ with a
/// trainer_state.json.
bool is_run_directory(const std::filesystem::path& directory);

/// Whether the file begins as a token shard does; false where it cannot be read.
bool begins_as_shard(const std::filesystem::path& file);

/// Files that are named themselves are listed whatever they are. Links to directories are not
/// followed. Of a run directory that is named itself, or holds what is named, only the run's own
/// files are passed over. Throws InvalidArgument when a path is neither a file nor a directory.
FileListing list_files(const std::vector<std::filesystem::path>& paths);

}  // namespace cajal::data
