// Hugging Face's tokenizer.json, as far as byte-level BPE goes.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "data/bpe_model.h"

namespace cajal::data {

/// Reads the text of a tokenizer.json. `name` is what errors call it. Throws Error, one line, for
/// everything that is not a byte-level BPE tokenizer whose encodings are the same here.
BpeVocabulary parse_tokenizer_json(std::string_view json, std::string_view name);

std::string format_tokenizer_json(const BpeVocabulary& vocabulary);

}  // namespace cajal::data
