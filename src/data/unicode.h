// What kind of character each code point is, as far as splitting text goes.
#pragma once

#include <cstdint>

namespace cajal::data {

/// The general categories that GPT-2's pattern asks for; none of them share a character.
enum class CharacterKind : std::uint8_t { other, letter, number, blank };

/// Unicode's L, N and White_Space, in the version of the PCRE2 that is installed. Any value below
/// 0x110000. The first call makes a table; afterwards it is one look-up, from any thread.
CharacterKind kind_of(char32_t character);

/// `\w` of Unicode's regular expressions (UTS 18): letters, marks, decimal digits, connectors.
bool is_word_character(char32_t character);

}  // namespace cajal::data
