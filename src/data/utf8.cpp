#include "data/utf8.h"

#include <cstdint>
#include <cstring>

namespace cajal::data {
namespace {

bool is_continuation(unsigned char byte) { return (byte & 0xC0) == 0x80; }

std::size_t length_from_lead(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

/// Whether `second` may follow `lead`, which begins a longer character. Table 3-7 of the Unicode
/// standard.
bool may_follow(unsigned char lead, unsigned char second) {
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  if (lead == 0xE0) low = 0xA0;
  if (lead == 0xED) high = 0x9F;
  if (lead == 0xF0) low = 0x90;
  if (lead == 0xF4) high = 0x8F;
  return second >= low && second <= high;
}

/// Length of the valid character at `text`, 0 if there is none.
std::size_t character_length(const unsigned char* text, std::size_t available) {
  const std::size_t length = length_from_lead(text[0]);
  if (length <= 1) return length;
  if (available < length || !may_follow(text[0], text[1])) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if (!is_continuation(text[i])) return 0;
  }
  return length;
}

std::size_t skip_ascii(const unsigned char* text, std::size_t position, std::size_t size) {
  constexpr std::uint64_t kHighBits = 0x8080808080808080U;
  while (position + 32 <= size) {
    std::uint64_t words[4];
    std::memcpy(words, text + position, sizeof words);
    if (((words[0] | words[1] | words[2] | words[3]) & kHighBits) != 0) break;
    position += 32;
  }
  while (position < size && text[position] < 0x80) ++position;
  return position;
}

}  // namespace

std::size_t valid_utf8_prefix(std::string_view text) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t position = skip_ascii(bytes, 0, text.size());
  while (position < text.size()) {
    const std::size_t length = character_length(bytes + position, text.size() - position);
    if (length == 0) break;
    position += length;
    if (position < text.size() && bytes[position] < 0x80) {
      position = skip_ascii(bytes, position, text.size());
    }
  }
  return position;
}

Character character_at(std::string_view text, std::size_t position) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data()) + position;
  const std::size_t length = character_length(bytes, text.size() - position);
  if (length <= 1) return {bytes[0], length};
  // The lead's marker is one bit longer than the character has bytes.
  char32_t code = bytes[0] & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) code = code << 6 | (bytes[i] & 0x3FU);
  return {code, length};
}

void append_utf8(char32_t c, std::string& text) {
  const auto put = [&](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  const auto put_rest = [&](int bits) {
    for (; bits >= 0; bits -= 6) put(0x80U | (c >> bits & 0x3FU));
  };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0U | c >> 6);
    put_rest(0);
  } else if (c < 0x10000) {
    put(0xE0U | c >> 12);
    put_rest(6);
  } else {
    put(0xF0U | c >> 18);
    put_rest(12);
  }
}

std::size_t invalid_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t wanted = length_from_lead(byte(0));
  if (wanted < 2 || text.size() < 2 || !may_follow(byte(0), byte(1))) return 1;
  std::size_t length = 2;
  while (length < wanted && length < text.size() && is_continuation(byte(length))) ++length;
  return length;
}

std::size_t incomplete_tail(std::string_view text) {
  for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if (is_continuation(byte)) continue;
    return length_from_lead(byte) > back ? back : 0;
  }
  return 0;
}

bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool white_space_before(std::string_view text, std::size_t position) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (byte(position - 1) < 0x80) return is_white_space(byte(position - 1));
  // White space outside ASCII has two bytes or three.
  if (position >= 2 && length_from_lead(byte(position - 2)) == 2) {
    return is_white_space((byte(position - 2) & 0x1FU) << 6 | (byte(position - 1) & 0x3FU));
  }
  if (position >= 3 && length_from_lead(byte(position - 3)) == 3) {
    return is_white_space((byte(position - 3) & 0x0FU) << 12 | (byte(position - 2) & 0x3FU) << 6 |
                          (byte(position - 1) & 0x3FU));
  }
  return false;
}

std::size_t white_space_begin(std::string_view text, std::size_t position) {
  while (position > 0 && white_space_before(text, position)) {
    do --position;
    while (is_continuation(static_cast<unsigned char>(text[position])));
  }
  return position;
}

std::size_t white_space_end(std::string_view text, std::size_t position) {
  while (position < text.size()) {
    const Character character = character_at(text, position);
    if (character.length == 0 || !is_white_space(character.code)) break;
    position += character.length;
  }
  return position;
}

std::size_t cut_point(std::string_view text) {
  for (const char* kind : {"\n", " \t\r\n"}) {
    std::size_t position = text.find_last_of(kind);
    while (position != std::string_view::npos && position > 0) {
      if (!white_space_before(text, position)) return position;
      position = text.find_last_of(kind, position - 1);
    }
  }
  const std::size_t whole = text.size() - incomplete_tail(text);
  return whole > 0 ? whole : text.size();
}

}  // namespace cajal::data
