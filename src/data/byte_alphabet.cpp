#include "data/byte_alphabet.h"

#include <cstdint>

namespace cajal::data {
namespace {

constexpr int kFirstStandIn = 0x100;

struct Alphabet {
  std::array<unsigned char, 256> order{};      // Place to byte.
  std::array<std::uint16_t, 256> character{};  // Byte to code point.
  std::array<std::int16_t, 512> byte{};        // Code point to byte, -1 where there is none.
};

constexpr bool is_visible(int byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  alphabet.byte.fill(-1);
  std::size_t place = 0;
  int stand_in = kFirstStandIn;
  for (const bool visible : {true, false}) {
    for (int byte = 0; byte < 256; ++byte) {
      if (is_visible(byte) != visible) continue;
      const int character = visible ? byte : stand_in++;
      alphabet.order[place++] = static_cast<unsigned char>(byte);
      alphabet.character[static_cast<std::size_t>(byte)] = static_cast<std::uint16_t>(character);
      alphabet.byte[static_cast<std::size_t>(character)] = static_cast<std::int16_t>(byte);
    }
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

const std::array<unsigned char, 256>& byte_order() { return kAlphabet.order; }

std::string spell(std::string_view bytes) {
  std::string spelling;
  spelling.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const unsigned character = kAlphabet.character[static_cast<unsigned char>(c)];
    if (character < 0x80) {
      spelling.push_back(static_cast<char>(character));
    } else {
      spelling.push_back(static_cast<char>(0xC0U | character >> 6));
      spelling.push_back(static_cast<char>(0x80U | (character & 0x3FU)));
    }
  }
  return spelling;
}

std::optional<std::string> unspell(std::string_view spelling) {
  std::string bytes;
  for (std::size_t i = 0; i < spelling.size(); ++i) {
    unsigned character = static_cast<unsigned char>(spelling[i]);
    if (character >= 0x80) {
      // All stand-ins have two bytes.
      if (character < 0xC2 || character > 0xDF || i + 1 == spelling.size()) return std::nullopt;
      const auto next = static_cast<unsigned char>(spelling[++i]);
      if ((next & 0xC0) != 0x80) return std::nullopt;
      character = (character & 0x1FU) << 6 | (next & 0x3FU);
    }
    if (character >= kAlphabet.byte.size() || kAlphabet.byte[character] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(kAlphabet.byte[character]));
  }
  return bytes;
}

}  // namespace cajal::data
