// Text files found under the paths that a user names.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>
#include <vector>

namespace cajal::data {

struct CorpusStats {
  std::int64_t files = 0;  ///< Read as text.
  std::int64_t bytes = 0;
  std::int64_t skipped_binary = 0;   ///< A NUL byte in it.
  std::int64_t skipped_invalid = 0;  ///< Not UTF-8.
  std::int64_t skipped_unreadable = 0;
  std::int64_t cut_short = 0;  ///< Text at first, binary or invalid or unreadable further in.
};

/// The files, sorted by path, so that a run does not depend on the file system's order. Links to
/// directories and hidden entries are not followed. Nothing is held in memory but the names.
///
/// A file is judged by its first mebibyte when the corpus is opened, and by the rest as it is read,
/// so that nothing is read twice to be checked: a long file that turns bad ends before the bad
/// piece.
class Corpus {
 public:
  /// Throws InvalidArgument when a path does not exist or no text is found under any. Warns once
  /// about what is skipped, with the counts.
  static Corpus open(const std::vector<std::filesystem::path>& paths);

  /// Headers of the C++ standard library on this machine: the text that every C++ machine has.
  /// Throws InvalidArgument where there are none.
  static std::vector<std::filesystem::path> default_paths();

  const std::vector<std::filesystem::path>& files() const { return files_; }
  const CorpusStats& stats() const { return stats_; }

  /// Called with each piece of text in order. `last` marks the end of a file; that piece may be
  /// empty.
  using Visit = std::function<void(std::string_view text, bool last)>;

  /// Reads every file in pieces of at most `piece_bytes`, cut before a line end where there is one
  /// and never inside a UTF-8 character. Returns what this pass read.
  CorpusStats for_each(const Visit& visit, std::size_t piece_bytes = std::size_t{4} << 20) const;

  /// Reads pieces spread evenly over the corpus, about `max_bytes` together, and nothing else of
  /// large files; all of it when `max_bytes` is 0 or covers it. Which pieces depends on the files
  /// alone.
  CorpusStats for_each_sample(std::int64_t max_bytes, const Visit& visit) const;

 private:
  std::vector<std::filesystem::path> files_;
  CorpusStats stats_;
};

}  // namespace cajal::data
