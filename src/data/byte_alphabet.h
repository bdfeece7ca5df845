// GPT-2's printable stand-ins for bytes, in which tokenizer.json spells its tokens.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace cajal::data {

/// The bytes in GPT-2's order: the visible ones of Latin-1 first, then all others. A byte's place
/// is its token id in a vocabulary made here.
const std::array<unsigned char, 256>& byte_order();

/// Bytes spelt as characters: a visible byte as itself, the others as U+0100 and on.
std::string spell(std::string_view bytes);

/// The bytes that `spelling` stands for; nothing when a character stands for no byte.
std::optional<std::string> unspell(std::string_view spelling);

}  // namespace cajal::data
