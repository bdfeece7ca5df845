#include "data/tokenizer.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <string>
#include <unordered_set>

#include "cajal/error.h"
#include "data/bpe_model.h"
#include "data/bpe_trainer.h"
#include "data/byte_alphabet.h"
#include "data/corpus.h"
#include "data/file.h"
#include "data/parallel.h"
#include "data/splitter.h"
#include "data/tokenizer_json.h"
#include "data/utf8.h"
#include "data/word_counts.h"
#include "data/word_encoder.h"

namespace cajal::data {
namespace {

// Twice the largest that are published; read, it takes many times its size.
constexpr std::uint64_t kMostJsonBytes = std::uint64_t{1} << 26;
constexpr double kCountingShare = 0.6;  // Of training time, for the progress bar.

void check_special_tokens(const std::vector<std::string>& tokens) {
  std::unordered_set<std::string_view> seen;
  for (const std::string& token : tokens) {
    const auto refuse = [&](std::string_view why) {
      throw InvalidArgument(fmt::format("special token \"{}\" {}", token, why),
                            "name one such as <|endoftext|>");
    };
    if (token.empty()) refuse("is empty");
    if (!is_utf8(token)) refuse("is not UTF-8");
    const auto bytes = unspell(token);
    if (bytes && bytes->size() == 1) refuse("reads like the token of a single byte");
    if (!seen.insert(token).second) refuse("is named twice");
  }
}

void check_options(const BpeOptions& options) {
  check_special_tokens(options.special_tokens);
  const std::size_t least = 256 + std::max<std::size_t>(options.special_tokens.size(), 1);
  if (options.vocab_size < static_cast<int>(least)) {
    throw InvalidArgument(
        fmt::format("a vocabulary of {} is too small for 256 bytes and {} special "
                    "tokens",
                    options.vocab_size, options.special_tokens.size()),
        fmt::format("ask for {} or more", least));
  }
  if (options.max_bytes < 0) {
    throw InvalidArgument("max_bytes is negative", "name the bytes to learn from, or 0 for all");
  }
}

std::function<void(double)> part_of(const std::function<void(double)>& progress, double from,
                                    double to) {
  if (!progress) return {};
  return [&progress, from, to](double share) { progress(from + (to - from) * share); };
}

/// As many slots as a text of this length can fill to advantage.
std::size_t slots_for(std::size_t text_bytes) {
  return std::clamp<std::size_t>(text_bytes / 16, 16, std::size_t{1} << 15);
}

/// One thread's way from text to ids.
class TextEncoder {
 public:
  TextEncoder(const BpeModel& model, std::size_t slots, bool parse_special)
      : added_(model.added), words_(model, slots), parse_special_(parse_special) {}

  void append(std::string_view text, std::vector<TokenId>& ids) {
    if (added_.empty()) return append_words(text, ids);
    for (const AddedTokens::Piece& piece : added_.split(text, parse_special_)) {
      if (piece.id < 0) {
        append_words(piece.text, ids);
      } else {
        ids.push_back(piece.id);
      }
    }
  }

  bool may_cut(std::string_view text, std::size_t position) const {
    return added_.may_cut(text, position);
  }

 private:
  void append_words(std::string_view text, std::vector<TokenId>& ids) {
    const char* end = text.data() + text.size();
    for_each_word(text, [&](std::string_view word) { words_.append(word, end, ids); });
  }

  const AddedTokens& added_;
  WordEncoder words_;
  bool parse_special_;
};

}  // namespace

struct Encoder::State {
  TextEncoder text;
};

Encoder::Encoder(const Tokenizer& tokenizer, bool parse_special)
    : state_(std::make_unique<State>(
          State{TextEncoder(*tokenizer.model_, std::size_t{1} << 15, parse_special)})) {}
Encoder::~Encoder() = default;
Encoder::Encoder(Encoder&&) noexcept = default;
Encoder& Encoder::operator=(Encoder&&) noexcept = default;

void Encoder::append(std::string_view text, std::vector<TokenId>& ids) {
  state_->text.append(text, ids);
}

bool Encoder::may_cut(std::string_view text, std::size_t position) const {
  return state_->text.may_cut(text, position);
}

Tokenizer::Tokenizer(std::unique_ptr<const BpeModel> model) : model_(std::move(model)) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

Tokenizer Tokenizer::train(const Corpus& corpus, const BpeOptions& options) {
  check_options(options);
  CountOptions counting;
  counting.max_bytes = options.max_bytes;
  counting.threads = resolve_threads(options.threads);
  counting.progress = part_of(options.progress, 0.0, kCountingShare);
  if (options.parse_special) counting.passed_over = options.special_tokens;
  const WordCounter words = count_words(corpus, counting);
  BpeVocabulary vocabulary =
      learn_bpe(words.sorted(), static_cast<std::size_t>(options.vocab_size),
                options.special_tokens, part_of(options.progress, kCountingShare, 1.0));
  if (options.progress) options.progress(1.0);
  return Tokenizer(std::make_unique<const BpeModel>(std::move(vocabulary)));
}

Tokenizer Tokenizer::load(const std::filesystem::path& path) {
  const InputFile file(path);
  const std::uint64_t size = file.size();
  if (size > kMostJsonBytes) {
    throw Error(fmt::format("{} is too large for a tokenizer.json ({} bytes)", path.string(), size),
                "name the file that Hugging Face's tokenizers wrote");
  }
  std::string text(size, '\0');
  text.resize(file.read_at(0, text));
  BpeVocabulary vocabulary = parse_tokenizer_json(text, path.string());
  for (const std::string& warning : vocabulary.warnings) spdlog::warn("{}", warning);
  return Tokenizer(std::make_unique<const BpeModel>(std::move(vocabulary)));
}

void Tokenizer::save(const std::filesystem::path& path) const {
  AtomicFile file(path);
  file.write(format_tokenizer_json(model_->vocabulary));
  file.commit();
}

int Tokenizer::vocab_size() const { return static_cast<int>(model_->vocabulary.tokens.size()); }

std::optional<TokenId> Tokenizer::added(std::string_view token) const {
  for (const AddedToken& added : model_->vocabulary.added) {
    if (added.text == token) return added.id;
  }
  return std::nullopt;
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, bool parse_special) const {
  std::vector<TokenId> ids;
  ids.reserve(text.size() / 3 + 1);
  TextEncoder(*model_, slots_for(text.size()), parse_special).append(text, ids);
  return ids;
}

std::string Tokenizer::decode(std::span<const TokenId> ids) const {
  std::string text;
  for (const TokenId id : ids) text += bytes_of(id);
  return text;
}

std::string_view Tokenizer::bytes_of(TokenId id) const {
  const auto& tokens = model_->vocabulary.tokens;
  if (id < 0 || static_cast<std::size_t>(id) >= tokens.size()) {
    throw InvalidArgument(fmt::format("token {} is not in a vocabulary of {}", id, tokens.size()));
  }
  return tokens[static_cast<std::size_t>(id)];
}

}  // namespace cajal::data
