// Byte-level BPE in the manner of GPT-2, in Hugging Face's tokenizer.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cajal::data {

class Corpus;
struct BpeModel;

using TokenId = std::int32_t;

inline constexpr std::string_view kEndOfText = "<|endoftext|>";

struct BpeOptions {
  int vocab_size = 1776;  ///< Bytes (256), merges and special tokens together; at least 257.
  int threads = 0;        ///< 0: all cores.
  std::vector<std::string> special_tokens{std::string(kEndOfText)};
  std::int64_t max_bytes = 1LL << 30;  ///< Text read for training, spread over the corpus; 0: all.
  bool parse_special = true;  ///< No merges are learnt from special tokens written in the text.
  /// Called from time to time on the calling thread with the share done in [0,1].
  std::function<void(double)> progress;
};

/// Immutable; encode and decode may run on several threads at once.
class Tokenizer {
 public:
  /// Learns merges from the corpus (Sennrich et al. 2016 on bytes; split by GPT-2's pattern). The
  /// result depends on the text and options alone, not on the thread count. Text with fewer pairs
  /// that occur twice than merges asked for gives a smaller vocabulary.
  static Tokenizer train(const Corpus& corpus, const BpeOptions& options);

  /// Reads tokenizer.json (byte-level BPE only). Throws Error that says what in the file is not so;
  /// warns of what is done otherwise than the file's author may expect.
  static Tokenizer load(const std::filesystem::path& file);
  void save(const std::filesystem::path& file) const;

  int vocab_size() const;
  /// The id of an added token, special or not.
  std::optional<TokenId> added(std::string_view token) const;
  std::optional<TokenId> end_of_text() const { return added(kEndOfText); }

  /// Text in, ids out, as Hugging Face's tokenizers encodes it: added tokens in the text are found,
  /// but special ones stay text unless `parse_special`. Any byte string round-trips,
  /// decode(encode(s)) == s, unless the file has added tokens that swallow white space or no tokens
  /// for some bytes.
  std::vector<TokenId> encode(std::string_view text, bool parse_special = true) const;
  std::string decode(std::span<const TokenId> ids) const;
  /// The bytes of one token, which may be part of a UTF-8 character; none for an id that the
  /// vocabulary leaves out.
  std::string_view bytes_of(TokenId id) const;

  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

 private:
  friend class Encoder;
  explicit Tokenizer(std::unique_ptr<const BpeModel> model);
  std::unique_ptr<const BpeModel> model_;
};

/// Encodes many texts faster than Tokenizer::encode, by remembering words from one to the next. For
/// one thread; the tokenizer must outlive it.
class Encoder {
 public:
  explicit Encoder(const Tokenizer& tokenizer, bool parse_special = true);
  ~Encoder();
  Encoder(Encoder&&) noexcept;
  Encoder& operator=(Encoder&&) noexcept;

  /// Appends what Tokenizer::encode gives.
  void append(std::string_view text, std::vector<TokenId>& ids);
  /// Whether `text` may be encoded in two parts, as far as added tokens go.
  bool may_cut(std::string_view text, std::size_t position) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cajal::data
