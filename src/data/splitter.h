// GPT-2's split of text into words, the pieces inside which BPE merges.
#pragma once

#include <cstddef>
#include <string_view>

#include "data/utf8.h"

namespace cajal::data {

/// Radford et al. 2019, as in tiktoken and Hugging Face: contractions, letters, digits, other signs
/// (each with one space before it), and white space of which the last blank goes to the next word.
/// What word_end finds is what this finds, but in one pass without a regular expression's limits
/// and stack: no text makes it slow.
inline constexpr const char* kSplitPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+)"
    R"(|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+)";

/// The end of the word that begins at `position`, inside `text` of valid UTF-8.
std::size_t word_end(std::string_view text, std::size_t position);

/// Calls visit(word) for every word of any byte string, in order; the words join to the text. A
/// byte that belongs to no UTF-8 character is a word of its own.
template <class Visit>
void for_each_word(std::string_view text, Visit&& visit) {
  while (!text.empty()) {
    const std::string_view valid = text.substr(0, valid_utf8_prefix(text));
    for (std::size_t position = 0; position < valid.size();) {
      const std::size_t end = word_end(valid, position);
      visit(valid.substr(position, end - position));
      position = end;
    }
    text.remove_prefix(valid.size());
    if (text.empty()) break;
    visit(text.substr(0, 1));
    text.remove_prefix(1);
  }
}

}  // namespace cajal::data
