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
#include <utility>

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
  BatchEncoder(const Tokenizer& tokenizer, TokenId end_of_text, const EncodeOptions& options)
      : tokenizer_(tokenizer),
        end_of_text_(end_of_text),
        threads_(resolve_threads(options.threads)) {
    for (int i = 0; i < threads_; ++i) workers_.emplace_back(tokenizer, options.parse_special);
  }

  void encode(const std::vector<Chunk>& chunks, ShardSet& shards) {
    if (encoded_.size() < chunks.size()) encoded_.resize(chunks.size());
    parallel_for(threads_, chunks.size(), [&](std::size_t worker, std::size_t item) {
      Worker& self = workers_[worker];
      self.ids.clear();
      self.encoder.append(chunks[item].text, self.ids);
      encoded_[item].tokens.assign(self.ids.begin(), self.ids.end());
      encoded_[item].end = end_of(self.ids);
    });
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      Encoded& chunk = encoded_[i];
      if (chunk.end != End::blank) ended_ = chunk.end == End::end_of_text;
      if (chunks[i].ends_file) {
        if (!ended_) chunk.tokens.push_back(static_cast<std::uint16_t>(end_of_text_));
        ended_ = false;
      }
      shards.write(chunk.tokens);
    }
  }

  bool may_cut(std::string_view text, std::size_t position) const {
    return workers_.front().encoder.may_cut(text, position);
  }

 private:
  struct Worker {
    Worker(const Tokenizer& tokenizer, bool parse_special) : encoder(tokenizer, parse_special) {}
    Encoder encoder;
    std::vector<TokenId> ids;
  };
  /// What a chunk ends in when the white space at its end is left out; blank: there is no more.
  enum class End : std::uint8_t { blank, end_of_text, other };
  struct Encoded {
    std::vector<std::uint16_t> tokens;
    End end = End::blank;
  };

  End end_of(const std::vector<TokenId>& ids) const {
    for (auto id = ids.rbegin(); id != ids.rend(); ++id) {
      if (*id == end_of_text_) return End::end_of_text;
      const std::string_view bytes = tokenizer_.bytes_of(*id);
      if (bytes.find_first_not_of(" \t\r\n\v\f") != std::string_view::npos) return End::other;
    }
    return End::blank;
  }

  const Tokenizer& tokenizer_;
  TokenId end_of_text_;
  int threads_;
  std::deque<Worker> workers_;
  std::vector<Encoded> encoded_;
  bool ended_ = false;  ///< Since the file's last end-of-text token there was only white space.
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

void warn_of_repairs(const CorpusStats& read) {
  for (const std::string& line : read.notes) spdlog::warn("{}", line);
  const auto told = static_cast<std::int64_t>(read.notes.size());
  const std::int64_t others = read.repaired_files + read.cut_short - told;
  if (others > 0) {
    spdlog::warn("{} more files were repaired or cut short: {} invalid bytes replaced in all",
                 others, read.repaired_bytes);
  }
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

WrittenShards write_shards(const Corpus& corpus, const Tokenizer& tokenizer,
                           const fs::path& directory, const EncodeOptions& options) {
  const TokenId end_of_text = check(tokenizer, options);
  make_directory(directory);

  ShardSet shards(directory, options.shard_tokens);
  BatchEncoder encoder(tokenizer, end_of_text, options);
  const auto all = static_cast<double>(std::max<std::int64_t>(corpus.stats().bytes, 1));
  std::int64_t done = 0;
  const auto process = [&](const std::vector<Chunk>& chunks) {
    encoder.encode(chunks, shards);
    for (const Chunk& chunk : chunks) done += static_cast<std::int64_t>(chunk.text.size());
    if (options.progress) options.progress(std::min(1.0, static_cast<double>(done) / all));
  };
  TextBatch batch(process, [&](std::string_view text, std::size_t position) {
    return encoder.may_cut(text, position);
  });
  CorpusStats read =
      corpus.for_each([&](std::string_view text, bool last) { batch.add(text, last); });
  batch.flush();
  warn_of_repairs(read);
  return {shards.commit(), std::move(read)};
}

}  // namespace cajal::data
