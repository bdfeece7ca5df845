// Where a training step's time goes, for terminals and for files.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "train/benchmark.h"

namespace cajal::cli {

/// Throws InvalidArgument when no file can be put there: found before the work, not after it.
void require_writable(const std::filesystem::path& file);

/// One line an operation: calls and milliseconds a step, and its share.
std::string profile_table(const train::Profile& profile);

/// `run` is the benchmark's own object, which gets the member "profile". Throws Error.
void write_profile(const std::filesystem::path& file, nlohmann::ordered_json run,
                   const train::Profile& profile);

}  // namespace cajal::cli
