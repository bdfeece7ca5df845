// What a file seems to hold.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "data/file.h"

namespace cajal::data {

enum class TextKind : std::uint8_t {
  text,  ///< UTF-8, perhaps with a few bad bytes.
  empty,
  binary,  ///< NUL bytes, or the first bytes of a known format.
  utf16,
  utf32,
  latin1,  ///< Or another encoding of one byte a character.
  other,   ///< Mostly bytes that are not UTF-8.
};

/// By its first mebibyte and, of a longer file, three blocks further in. `buffer` is for reading.
/// Throws Error when it cannot be read.
TextKind probe(const InputFile& file, std::string& buffer);

/// By the beginning of a file; `whole`: there is no more of it.
TextKind probe(std::string_view beginning, bool whole);

/// What it looks like and how to convert it, in words that follow the file's name.
std::string advice(TextKind kind);

}  // namespace cajal::data
