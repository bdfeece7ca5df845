// What the data component needs to know of UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace cajal::data {

/// Length of the longest prefix that is UTF-8 as RFC 3629 has it: no surrogates, no overlong forms.
std::size_t valid_utf8_prefix(std::string_view text);

inline bool is_utf8(std::string_view text) { return valid_utf8_prefix(text) == text.size(); }

struct Character {
  char32_t code = 0;
  std::size_t length = 0;  ///< In bytes; 0 where no valid character begins.
};

/// The character that begins at `position`, inside `text`.
Character character_at(std::string_view text, std::size_t position);

/// Appends a code point that is no surrogate.
void append_utf8(char32_t character, std::string& text);

/// How many bytes at the start of `text`, where no valid character begins, are replaced as one: the
/// longest start of a character, else one byte (the Unicode standard's "maximal subpart").
std::size_t invalid_length(std::string_view text);

/// Bytes at the end of `text`, at most 3, that begin a character which needs more bytes.
std::size_t incomplete_tail(std::string_view text);

/// Unicode's White_Space.
bool is_white_space(char32_t character);

/// Whether the character that ends just before `position` is white space. `position` > 0.
bool white_space_before(std::string_view text, std::size_t position);

/// Where the white space that ends at `position` begins; `position` itself where there is none.
std::size_t white_space_begin(std::string_view text, std::size_t position);

/// Where the white space that begins at `position` ends; `position` itself where there is none.
std::size_t white_space_end(std::string_view text, std::size_t position);

/// Where to end a piece of text when more follows: before the last line end that comes after a
/// visible character, else before such a blank, else between characters. GPT-2's pattern begins a
/// new word wherever white space follows something else, so the first two cuts leave every word
/// whole.
std::size_t cut_point(std::string_view text);

}  // namespace cajal::data
