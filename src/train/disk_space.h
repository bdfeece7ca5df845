// Whether the checkpoints of a run will fit on the disk, asked before it begins.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace cajal::train {

/// Bytes that this process may still write below `path`, which need not exist yet; none where the
/// file system does not tell.
std::optional<std::uint64_t> free_space(const std::filesystem::path& path);

/// Throws InvalidArgument, with both figures, where not one checkpoint of `checkpoint_bytes` fits
/// below `path`. Returns a warning where fewer than `keep` + 2 fit: those kept, the best one, and
/// the one being written.
std::optional<std::string> require_space(const std::filesystem::path& path,
                                         std::uint64_t checkpoint_bytes, int keep);

}  // namespace cajal::train
