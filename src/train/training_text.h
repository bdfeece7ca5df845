// The tokens of a run: from text, or from shards that are there already.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "data/corpus.h"
#include "data/token_shard.h"
#include "data/tokenizer.h"
#include "train/settings.h"

namespace cajal::train {

/// Told what is being done and how much of it is done, on the calling thread. What it throws ends
/// the work and comes out of the call.
using StageProgress = std::function<void(std::string_view stage, double share)>;

/// Where tokens come from, checked before anything is written.
class TextSource {
 public:
  /// Opens the corpus, or recognizes `settings.data` as .bin shards. Throws InvalidArgument for
  /// paths that are missing, hold no text, or mix text and shards.
  static TextSource open(const Settings& settings);

  /// The tokens that an earlier call encoded into `run`, if they are of the same data and whole.
  static std::optional<TextSource> encoded_in(const std::filesystem::path& run,
                                              const Settings& settings);

  bool is_text() const { return corpus_.has_value(); }
  data::CorpusStats stats() const { return corpus_ ? corpus_->stats() : data::CorpusStats{}; }

  /// Trains a tokenizer on the text.
  data::Tokenizer train_tokenizer(const Settings& settings, int threads,
                                  const StageProgress& progress) const;

  /// The shards; text is first encoded into `run`/tokens, whole or not at all.
  std::vector<data::TokenShard> shards(const std::filesystem::path& run, const Settings& settings,
                                       const data::Tokenizer* tokenizer, int threads,
                                       const StageProgress& progress) const;

  /// Removes what shards() has encoded into `run`.
  static void discard(const std::filesystem::path& run);

 private:
  std::optional<data::Corpus> corpus_;
  std::vector<std::filesystem::path> shard_files_;
};

}  // namespace cajal::train
