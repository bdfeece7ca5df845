// Any bytes for a tokenizer.json: a one-line Error, or a tokenizer that round-trips text.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cajal/error.h"
#include "data/bpe_model.h"
#include "data/tokenizer_json.h"
#include "data/word_encoder.h"

namespace {

using namespace cajal::data;

void require(bool condition) {
  if (!condition) std::abort();
}

void check_round_trip(const BpeModel& model, std::string_view word) {
  const auto& byte_ids = model.vocabulary.byte_ids;
  const bool all_bytes = std::find(byte_ids.begin(), byte_ids.end(), kNoToken) == byte_ids.end();
  WordEncoder encoder(model, 16);
  std::vector<TokenId> ids;
  encoder.append(word, word.data() + word.size(), ids);
  std::string bytes;
  for (const TokenId id : ids) bytes += model.vocabulary.tokens.at(static_cast<std::size_t>(id));
  require(!all_bytes || bytes == word);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const BpeModel model(parse_tokenizer_json(text, "input"));
    check_round_trip(model, "the whole of it, and some more");
    check_round_trip(model, text.substr(0, 4096));
    model.added.split(text.substr(0, 4096), true);
    parse_tokenizer_json(format_tokenizer_json(model.vocabulary), "output");
  } catch (const cajal::Error& error) {
    require(std::string_view(error.what()).find('\n') == std::string_view::npos);
  }
  return 0;
}
