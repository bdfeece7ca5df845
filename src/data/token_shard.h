// Token files in llm.c's .bin format.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "data/corpus.h"
#include "data/tokenizer.h"

namespace cajal::data {

/// 256 int32 of header (magic 20240520, version 1, token count, rest 0), then uint16 tokens.
inline constexpr std::int32_t kShardMagic = 20240520;
inline constexpr std::int32_t kShardVersion = 1;

class InputFile;

/// A shard open for reading. Throws Error when it is not one, or does not hold what it claims to
/// the byte. Copies share the open file. Nothing is mapped: a file that shrinks while it is read
/// is an Error and no signal, and one that is removed is still there for who has it open.
class TokenShard {
 public:
  explicit TokenShard(const std::filesystem::path& file);

  std::int64_t count() const { return count_; }
  /// Fills `tokens` from the token `begin` on; all must be inside the shard. Throws Error when the
  /// file has shrunk, was replaced, or cannot be read. Any thread.
  void read(std::int64_t begin, std::span<std::uint16_t> tokens) const;
  std::vector<std::uint16_t> all() const;
  const std::filesystem::path& file() const { return file_; }

 private:
  std::filesystem::path file_;
  std::shared_ptr<const InputFile> open_;  ///< Null where so many are open that it is opened anew.
  std::int64_t count_ = 0;
  std::int64_t modified_ns_ = 0;
};

struct EncodeOptions {
  int threads = 0;  ///< 0: all cores.
  std::int64_t shard_tokens = 100'000'000;
  bool parse_special = true;             ///< Special tokens written in the text become the tokens.
  std::function<void(double)> progress;  ///< As in BpeOptions.
};

struct WrittenShards {
  std::vector<std::filesystem::path> files;
  CorpusStats read;  ///< What the corpus turned out to hold.
};

/// Encodes the corpus to `directory`/tokens_000000.bin and on. Each file's text ends in the
/// end-of-text token, whether the text brings it along or not. Shards are written under temporary
/// names, all renamed at the end, and those of an earlier, longer set removed. Streams: memory does
/// not grow with the corpus. What is written does not depend on the thread count. Refuses a
/// vocabulary over 65536 or without end-of-text (InvalidArgument).
WrittenShards write_shards(const Corpus& corpus, const Tokenizer& tokenizer,
                           const std::filesystem::path& directory, const EncodeOptions& options);

}  // namespace cajal::data
