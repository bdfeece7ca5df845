// Text files found under the paths that a user names.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>
#include <vector>

namespace cajal::data {

struct CorpusStats {
  std::int64_t files = 0;            ///< Read as text.
  std::int64_t bytes = 0;
  std::int64_t skipped_binary = 0;   ///< A NUL byte in it.
  std::int64_t skipped_invalid = 0;  ///< Not UTF-8.
  std::int64_t skipped_unreadable = 0;
};

/// The files, sorted by path, so that a run does not depend on the file system's order. Links to
/// directories are not followed. Nothing is held in memory but the names.
class Corpus {
 public:
  /// Throws InvalidArgument when a path does not exist or no text is found under any.
  static Corpus open(const std::vector<std::filesystem::path>& paths);

  /// Headers of the C++ standard library on this machine: the text that every C++ machine has.
  static std::vector<std::filesystem::path> default_paths();

  const std::vector<std::filesystem::path>& files() const { return files_; }
  const CorpusStats& stats() const { return stats_; }

  /// Calls visit for each piece of text in order; a file comes in pieces of at most `piece_bytes`,
  /// cut at a line end where there is one and never inside a UTF-8 character. `last` marks a file's end.
  using Visit = std::function<void(std::string_view text, bool last)>;
  void for_each(const Visit& visit, std::size_t piece_bytes = std::size_t{8} << 20) const;

 private:
  std::vector<std::filesystem::path> files_;
  CorpusStats stats_;
};

}  // namespace cajal::data
