// Text files found under the paths that a user names.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace cajal::data {

struct CorpusStats {
  std::int64_t files = 0;  ///< Read as text.
  std::int64_t bytes = 0;  ///< Of those files.

  std::int64_t skipped_binary = 0;
  std::int64_t skipped_invalid = 0;  ///< Text in another encoding than UTF-8.
  std::int64_t skipped_unreadable = 0;
  std::int64_t skipped_hidden = 0;  ///< Files and directories whose names begin with a dot.
  std::int64_t skipped_runs = 0;    ///< Directories of training runs.
  std::int64_t skipped_shards = 0;  ///< Token shards among text.

  std::int64_t repaired_files = 0;  ///< Had bad bytes, which were replaced.
  std::int64_t repaired_bytes = 0;
  std::int64_t cut_short = 0;  ///< Could be read no further than somewhere in them.
  /// Of the first few files that are skipped for their encoding, repaired or cut short: which and
  /// why, one line each.
  std::vector<std::string> notes;
};

/// "2 binary, 1 not UTF-8, 3 hidden": what was passed over; empty when nothing was.
std::string describe_skipped(const CorpusStats& stats);

/// The files that a corpus of these paths would read, without a word about the others. Throws
/// InvalidArgument when a path does not exist.
std::vector<std::filesystem::path> list_text_files(const std::vector<std::filesystem::path>& paths);

/// The files, sorted by path, so that a run does not depend on the file system's order. Links to
/// directories, hidden entries and the directories of runs are not followed. Nothing is held in
/// memory but the names.
///
/// What a file holds is judged by its beginning and a few places further in when the corpus is
/// opened; what is no text, or in another encoding, is left out. A byte order mark is no text. Bad
/// bytes in the rest are replaced by U+FFFD as they are read, and counted.
class Corpus {
 public:
  /// Throws InvalidArgument when a path does not exist or no text is found under any. Warns of what
  /// is skipped, with the counts and the first files' names.
  static Corpus open(const std::vector<std::filesystem::path>& paths);

  /// The same, but where there are token shards and no text the corpus is empty.
  static Corpus open_text_or_shards(const std::vector<std::filesystem::path>& paths);

  /// Headers of the C++ standard library on this machine: the text that every C++ machine has.
  /// Throws InvalidArgument where there are none.
  static std::vector<std::filesystem::path> default_paths();

  const std::vector<std::filesystem::path>& files() const { return files_; }
  /// Token shards that the directories hold, sorted.
  const std::vector<std::filesystem::path>& shards() const { return shards_; }
  const CorpusStats& stats() const { return stats_; }

  /// Called with each piece of text in order. `last` marks the end of a file; that piece may be
  /// empty.
  using Visit = std::function<void(std::string_view text, bool last)>;

  /// Reads every file in pieces of about `piece_bytes`, cut between characters. Joined they are the
  /// same for any size. Returns what this pass read, with what was skipped when opening.
  CorpusStats for_each(const Visit& visit, std::size_t piece_bytes = std::size_t{4} << 20) const;

  /// Reads pieces spread evenly over the corpus, about `max_bytes` together, and nothing else of
  /// large files; all of it when `max_bytes` is 0 or covers it. Which pieces depends on the files
  /// alone.
  CorpusStats for_each_sample(std::int64_t max_bytes, const Visit& visit) const;

 private:
  std::vector<std::filesystem::path> files_;
  std::vector<std::filesystem::path> shards_;
  CorpusStats stats_;
};

}  // namespace cajal::data
