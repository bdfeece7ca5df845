// Holds every file of a run, a checkpoint or a model against what was written.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace cajal::train {

struct FileCheck {
  enum class State {
    ok,         ///< As it was written.
    stale,      ///< Led to the newest checkpoint, and the next run mends it; nothing is lost.
    unchecked,  ///< There is no checksum of it; `what` says why.
    damaged     ///< `what` says how.
  };
  std::string name;                    ///< In the directory that is checked.
  std::optional<std::uint64_t> bytes;  ///< None of a link, or where there is no such file.
  State state = State::ok;
  std::string what;
};

/// Reads the files of a run (every checkpoint, the encoded text, the names at its top), of one
/// checkpoint, or of a folder with a model, and calls `told` for each as soon as it is known.
/// Throws InvalidArgument for a directory that is none of these, and
/// for a run that a training is at work in.
void check_directory(const std::filesystem::path& directory,
                     const std::function<void(const FileCheck&)>& told);

}  // namespace cajal::train
