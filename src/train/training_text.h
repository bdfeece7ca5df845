// The tokens of a run: from text, or from shards that are there already.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/corpus.h"
#include "data/token_shard.h"
#include "data/tokenizer.h"
#include "train/run_directory.h"
#include "train/settings.h"

namespace cajal::train {

/// Told what is being done and how much of it is done, on the calling thread. What it throws ends
/// the work and comes out of the call.
using StageProgress = std::function<void(std::string_view stage, double share)>;

/// Where tokens come from, checked before anything is written.
class TextSource {
 public:
  /// Opens the corpus, or recognizes .bin shards, named or in a directory that is named. Throws
  /// InvalidArgument for paths that are missing, hold no text, or mix text and shards.
  static TextSource open(const Settings& settings);

  struct Encoded;
  /// The tokens that an earlier call encoded into `run`, if they are whole and the text is still
  /// the same: the same files by their sizes and times, or by their contents where a time differs.
  static Encoded encoded_in(const std::filesystem::path& run, const Settings& settings);

  bool is_text() const { return corpus_.has_value(); }
  /// What the text holds: as far as it was looked at when it was opened, what was really read once
  /// it has been encoded.
  const data::CorpusStats& stats() const { return stats_; }

  /// Trains a tokenizer on the text.
  data::Tokenizer train_tokenizer(const Settings& settings, int threads,
                                  const StageProgress& progress) const;

  /// The shards; text is first encoded into the run's tokens/, whole or not at all. Throws
  /// InvalidArgument, before anything is encoded, when something of that name is in the way that
  /// cajal did not write.
  std::vector<data::TokenShard> shards(RunDirectory& run, const Settings& settings,
                                       const data::Tokenizer* tokenizer, int threads,
                                       const StageProgress& progress);

  /// 16 hexadecimal digits that stay the same while the tokens do: their number and a sample of
  /// them, shard by shard; not the shards' names, so that they may be moved. Takes milliseconds for
  /// any size. Only of shards: for text, after shards().
  std::string fingerprint() const;

  /// Removes what shards() has encoded into `run`, and nothing else.
  static void discard(RunDirectory& run);

 private:
  std::optional<data::Corpus> corpus_;
  std::vector<std::filesystem::path> shard_files_;
  data::CorpusStats stats_;
};

struct TextSource::Encoded {
  std::optional<TextSource> source;
  /// What the user should know: why tokens that are there are not used, or are although their text
  /// is gone. Empty where there is nothing to tell.
  std::string message;
};

}  // namespace cajal::train
