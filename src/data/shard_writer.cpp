// Encodes a corpus into token shards.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <limits>
#include <optional>
#include <system_error>

#include "cajal/error.h"
#include "data/corpus.h"
#include "data/file.h"
#include "data/parallel.h"
#include "data/shard_format.h"
#include "data/text_batch.h"
#include "data/token_shard.h"

namespace cajal::data {
namespace {

namespace fs = std::filesystem;

constexpr int kMostTokens = 65536;

fs::path shard_path(const fs::path& directory, std::size_t index) {
  return directory / fmt::format("tokens_{:06}.bin", index);
}

/// Tokens in, shards out.
class ShardSet {
 public:
  ShardSet(fs::path directory, std::int64_t shard_tokens)
      : directory_(std::move(directory)), shard_tokens_(shard_tokens) {}

  void write(std::span<const std::uint16_t> tokens) {
    while (!tokens.empty()) {
      if (!open_) begin();
      const auto room = static_cast<std::size_t>(shard_tokens_ - count_);
      const auto part = tokens.first(std::min(room, tokens.size()));
      files_.back().write({reinterpret_cast<const char*>(part.data()), part.size_bytes()});
      count_ += static_cast<std::int64_t>(part.size());
      if (count_ == shard_tokens_) end();
      tokens = tokens.subspan(part.size());
    }
  }

  /// Gives all shards their names and removes what an earlier, longer set has left.
  std::vector<fs::path> commit() {
    if (open_) end();
    std::vector<fs::path> paths;
    for (AtomicFile& file : files_) {
      file.commit();
      paths.push_back(file.path());
    }
    std::error_code error;
    for (std::size_t i = files_.size(); fs::remove(shard_path(directory_, i), error); ++i) {
    }
    return paths;
  }

 private:
  void begin() {
    files_.emplace_back(shard_path(directory_, files_.size()));
    files_.back().write(std::string(kShardHeaderBytes, '\0'));
    count_ = 0;
    open_ = true;
  }

  void end() {
    const std::array<std::int32_t, 3> header{kShardMagic, kShardVersion,
                                             static_cast<std::int32_t>(count_)};
    files_.back().write_at(0, {reinterpret_cast<const char*>(header.data()), sizeof header});
    files_.back().finish();
    open_ = false;
  }

  fs::path directory_;
  std::int64_t shard_tokens_;
  std::deque<AtomicFile> files_;
  std::int64_t count_ = 0;  ///< Tokens in the last file.
  bool open_ = false;
};

/// Encodes the chunks of a batch on all threads and hands the tokens on in order.
class BatchEncoder {
 public:
  BatchEncoder(const Tokenizer& tokenizer, TokenId end_of_text, int threads)
      : end_of_text_(static_cast<std::uint16_t>(end_of_text)), threads_(threads) {
    for (int i = 0; i < threads; ++i) workers_.emplace_back(tokenizer);
  }

  void encode(const std::vector<Chunk>& chunks, ShardSet& shards) {
    if (encoded_.size() < chunks.size()) encoded_.resize(chunks.size());
    parallel_for(threads_, chunks.size(), [&](std::size_t worker, std::size_t item) {
      Worker& self = workers_[worker];
      self.ids.clear();
      self.encoder.append(chunks[item].text, self.ids);
      auto& tokens = encoded_[item];
      tokens.assign(self.ids.begin(), self.ids.end());
      if (chunks[item].ends_file) tokens.push_back(end_of_text_);
    });
    for (std::size_t i = 0; i < chunks.size(); ++i) shards.write(encoded_[i]);
  }

 private:
  struct Worker {
    explicit Worker(const Tokenizer& tokenizer) : encoder(tokenizer) {}
    Encoder encoder;
    std::vector<TokenId> ids;
  };

  std::uint16_t end_of_text_;
  int threads_;
  std::deque<Worker> workers_;
  std::vector<std::vector<std::uint16_t>> encoded_;
};

TokenId check(const Tokenizer& tokenizer, const EncodeOptions& options) {
  if (tokenizer.vocab_size() > kMostTokens) {
    throw InvalidArgument(
        fmt::format("a vocabulary of {} does not fit into token shards of 16 bits",
                    tokenizer.vocab_size()),
        "use a tokenizer of at most 65536 tokens");
  }
  if (options.shard_tokens < 1 || options.shard_tokens > std::numeric_limits<std::int32_t>::max()) {
    throw InvalidArgument(fmt::format("a shard cannot hold {} tokens", options.shard_tokens),
                          "ask for 1 to 2147483647");
  }
  const auto end_of_text = tokenizer.end_of_text();
  if (!end_of_text) {
    throw InvalidArgument(
        fmt::format("the tokenizer has no {} token to part the files", kEndOfText),
        "train it with that special token");
  }
  return *end_of_text;
}

void make_directory(const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) {
    throw Error(fmt::format("cannot create {}: {}", directory.string(), error.message()),
                "name a directory that can be written");
  }
}

}  // namespace

std::vector<fs::path> write_shards(const Corpus& corpus, const Tokenizer& tokenizer,
                                   const fs::path& directory, const EncodeOptions& options) {
  const TokenId end_of_text = check(tokenizer, options);
  const int threads = resolve_threads(options.threads);
  make_directory(directory);

  ShardSet shards(directory, options.shard_tokens);
  BatchEncoder encoder(tokenizer, end_of_text, threads);
  const auto all = static_cast<double>(std::max<std::int64_t>(corpus.stats().bytes, 1));
  std::int64_t done = 0;
  TextBatch batch([&](const std::vector<Chunk>& chunks) {
    encoder.encode(chunks, shards);
    for (const Chunk& chunk : chunks) done += static_cast<std::int64_t>(chunk.text.size());
    if (options.progress) options.progress(std::min(1.0, static_cast<double>(done) / all));
  });
  const CorpusStats read =
      corpus.for_each([&](std::string_view text, bool last) { batch.add(text, last); });
  batch.flush();
  if (read.cut_short > 0) {
    spdlog::warn("{} files turned binary, invalid or unreadable further in and end there",
                 read.cut_short);
  }
  return shards.commit();
}

}  // namespace cajal::data
