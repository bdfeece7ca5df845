// .cajal-run: says that a directory is a run's, and which process works in it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "train/durable_file.h"

namespace cajal::train {

/// {"format":1,"id":"0123456789abcdef","process":      1234}, locked while the object lives. The id
/// is random, so that names made from it are nobody else's. The lock ends with the process, however
/// that ends; where the file system has none there is no guard.
class RunMarker {
 public:
  static constexpr std::string_view kFile = ".cajal-run";

  /// Whether `run` has a marker; one that a kill has cut short counts as none. Throws
  /// InvalidArgument for a file of that name that cajal did not write.
  static bool stands_in(const std::filesystem::path& run);

  /// Throws InvalidArgument with `remedy` when a process, this one included, has the lock of the
  /// marker in `run`. Changes nothing.
  static void require_unlocked(const std::filesystem::path& run, std::string_view remedy);

  /// Makes the marker where there is none, and takes the lock. Throws InvalidArgument when another
  /// process has it, Error where it cannot be written.
  explicit RunMarker(const std::filesystem::path& run);

  const std::string& id() const { return id_; }
  bool made() const { return made_; }  ///< By this object.
  /// False when the directory was removed, or another put in its place.
  bool is_in_place() const;
  void remove();

 private:
  void lock();
  void write();

  std::filesystem::path file_;
  FileDescriptor fd_;
  std::string id_;
  bool made_ = false;
};

}  // namespace cajal::train
