// Takes over a run directory of an earlier cajal, which had neither marker nor manifests.
#pragma once

#include <filesystem>

namespace cajal::train {

/// Whether `run`, which has no marker, is such a directory: a checkpoint-<step>/ in it has a state
/// that this cajal reads.
bool is_earlier_run(const std::filesystem::path& run);

/// Gives its checkpoints, its encoded text and a copy of a checkpoint that stands at `latest` the
/// manifests that they lack. They list names that an earlier cajal wrote, and no others. Reads all
/// of these files once. Throws Error.
void adopt_earlier_run(const std::filesystem::path& run);

}  // namespace cajal::train
