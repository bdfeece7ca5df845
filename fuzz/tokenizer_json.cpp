// tokenizer.json: refused, or a tokenizer with which any text comes back from its tokens, and which
// is the same when it is read from its own text.
#include "data/tokenizer_json.h"

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

void check_round_trip(const Tokenizer& tokenizer, std::string_view text) {
  for (const bool with_specials : {false, true}) {
    const std::vector<TokenId> ids = tokenizer.encode(text, with_specials);
    for (const TokenId id : ids) {
      require(id >= 0 && id < tokenizer.vocab_size(), "a token is in the vocabulary");
    }
    require(tokenizer.decode(ids) == text, "text comes back from its tokens");
  }
}

void check_tokenizer(const std::filesystem::path& file, std::string_view text) {
  const Tokenizer tokenizer = Tokenizer::load(file);
  check_round_trip(tokenizer, "the whole of it, and some more<|endoftext|>\n\n\tto the end");
  check_round_trip(tokenizer, text.substr(0, 4096));
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
      check_tokenizer(scratch.put("tokenizer.json", input), input);
    } catch (const Error&) {
      throw Violation("what was accepted can be used");
    }
  });
}

}  // namespace cajal::fuzz
