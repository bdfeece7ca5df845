// The folder of a model, from which no name leads out.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "train/durable_file.h"

namespace cajal::train {

/// Opens regular files of one folder and nothing else. A link may lead to another place in the
/// folder (a run's names are links into its checkpoint) or into the blobs of Hugging Face's cache
/// (.../models--ORG--NAME/blobs/HASH), whose folders of models hold nothing but such links. Any
/// other link is refused: a folder that came from elsewhere must not choose files of this machine.
class ModelDirectory {
 public:
  /// Throws InvalidArgument when `path` is no folder.
  explicit ModelDirectory(std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }
  /// The name for errors.
  std::filesystem::path file(std::string_view name) const { return path_ / name; }

  /// Whether there is something of that name, if only a link that leads nowhere.
  bool contains(std::string_view name) const;
  /// Throws Error when the name leads out of the folder, or to what is no regular file.
  FileDescriptor open(std::string_view name) const;
  /// A whole text file. Throws Error as open() does, when it has more than `most` bytes, and when
  /// it is a Git LFS pointer or the like.
  std::string read_text(std::string_view name, std::size_t most) const;

  /// Throws Error as read_text() does for what its first bytes show.
  void require_genuine(std::string_view name) const;

  /// Throws Error unless `name`, read from the file `source`, is a plain name of a file here.
  static void require_plain_name(std::string_view name, std::string_view source);

 private:
  std::filesystem::path path_;
  std::filesystem::path real_;  ///< Without links.
};

}  // namespace cajal::train
