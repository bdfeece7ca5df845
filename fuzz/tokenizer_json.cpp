// tokenizer.json: refused, or a tokenizer with which any text comes back from its tokens, and which
// is the same when it is read from its own text.
#include "data/tokenizer_json.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "data/bpe_model.h"
#include "data/tokenizer.h"
#include "support.h"
#include "targets.h"

namespace cajal::fuzz {
namespace {

using namespace cajal::data;

/// Any text comes back, but where a byte has no token or an added token takes the blanks around it.
bool keeps_all_text(const BpeVocabulary& vocabulary) {
  return std::ranges::find(vocabulary.byte_ids, kNoToken) == vocabulary.byte_ids.end() &&
         std::ranges::none_of(vocabulary.added,
                              [](const AddedToken& token) { return token.lstrip || token.rstrip; });
}

void check_round_trip(const Tokenizer& tokenizer, std::string_view text, bool all_of_it) {
  for (const bool parse_special : {false, true}) {
    const std::vector<TokenId> ids = tokenizer.encode(text, parse_special);
    for (const TokenId id : ids) {
      require(id >= 0 && id < tokenizer.vocab_size(), "a token is in the vocabulary");
    }
    const std::string decoded = tokenizer.decode(ids);
    if (all_of_it) require(decoded == text, "text comes back from its tokens");
  }
}

void check_tokenizer(const std::filesystem::path& file, std::string_view text, bool all_of_it) {
  const Tokenizer tokenizer = Tokenizer::load(file);
  check_round_trip(tokenizer, "the whole of it, and some more<|endoftext|>\n\n\tto the end",
                   all_of_it);
  check_round_trip(tokenizer, text.substr(0, 4096), all_of_it);
}

}  // namespace

void tokenizer_json(std::string_view input) {
  static const Scratch scratch;
  accept_or_refuse([&] {
    const BpeVocabulary vocabulary = parse_tokenizer_json(input, "tokenizer.json");
    try {
      const std::string text = format_tokenizer_json(vocabulary);
      require(format_tokenizer_json(parse_tokenizer_json(text, "again")) == text,
              "a tokenizer comes back the same from its own text");
      check_tokenizer(scratch.put("tokenizer.json", input), input, keeps_all_text(vocabulary));
    } catch (const Error&) {
      throw Violation("what was accepted can be used");
    }
  });
}

}  // namespace cajal::fuzz
