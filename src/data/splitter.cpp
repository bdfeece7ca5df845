#include "data/splitter.h"

#include <array>
#include <cstdint>

#include "data/unicode.h"

namespace cajal::data {
namespace {

using Kind = CharacterKind;

constexpr std::array<Kind, 128> make_ascii_kinds() {
  std::array<Kind, 128> kinds{};
  for (std::size_t c = 0; c < kinds.size(); ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool digit = c >= '0' && c <= '9';
    const bool blank = c == ' ' || (c >= '\t' && c <= '\r');
    kinds[c] = letter ? Kind::letter : digit ? Kind::number : blank ? Kind::blank : Kind::other;
  }
  return kinds;
}

// Nearly all of code and Western text is decided by this table, which fits two cache lines.
constexpr std::array<Kind, 128> kAsciiKinds = make_ascii_kinds();

struct Seen {
  Kind kind = Kind::other;
  std::size_t length = 1;
};

Seen look(std::string_view text, std::size_t position) {
  const auto byte = static_cast<unsigned char>(text[position]);
  if (byte < kAsciiKinds.size()) return {kAsciiKinds[byte], 1};
  const Character character = character_at(text, position);
  return {kind_of(character.code), character.length};
}

/// Length of 's 't 're 've 'm 'll 'd at `position`, 0 if none.
std::size_t contraction(std::string_view text, std::size_t position) {
  const std::string_view after = text.substr(position + 1, 2);
  if (after.empty()) return 0;
  if (std::string_view("stmd").find(after[0]) != std::string_view::npos) return 2;
  return after == "re" || after == "ve" || after == "ll" ? 3 : 0;
}

}  // namespace

std::size_t word_end(std::string_view text, std::size_t position) {
  if (text[position] == '\'') {
    if (const std::size_t length = contraction(text, position)) return position + length;
  }
  Seen seen = look(text, position);
  std::size_t end = position + seen.length;
  if (text[position] == ' ' && end < text.size()) {
    const Seen next = look(text, end);
    if (next.kind != Kind::blank) {
      seen = next;
      end += next.length;
    }
  }
  const Kind kind = seen.kind;
  std::size_t last = end - seen.length;  // Where the run's last character begins.
  const std::size_t first = last;
  while (end < text.size()) {
    seen = look(text, end);
    if (seen.kind != kind) break;
    last = end;
    end += seen.length;
  }
  // The last blank of several is left for the word that follows.
  return kind == Kind::blank && end < text.size() && last > first ? last : end;
}

}  // namespace cajal::data
