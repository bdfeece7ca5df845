#include "data/unicode.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <memory>
#include <new>
#include <string>
#include <vector>

#include "cajal/error.h"
#include "data/utf8.h"

namespace cajal::data {
namespace {

constexpr char32_t kCodePoints = 0x110000;
constexpr std::uint8_t kWordBit = 4;  // Above the kinds.

using Code = std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)>;
using Match = std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)>;

Code compile(const char* pattern) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern), PCRE2_ZERO_TERMINATED,
                          PCRE2_UTF | PCRE2_NO_UTF_CHECK, &error, &offset, nullptr),
            &pcre2_code_free);
  if (!code) {
    throw Error(fmt::format("PCRE2 does not take {} (error {} at {})", pattern, error, offset),
                "install PCRE2 10.40 or later with Unicode support");
  }
  // Without a JIT for this machine pcre2_match interprets: slower, the same matches.
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
  return code;
}

/// Every character once, in order.
std::string all_characters() {
  std::string text;
  text.reserve(std::size_t{4} * kCodePoints);
  for (char32_t c = 0; c < kCodePoints; ++c) {
    if (c < 0xD800 || c > 0xDFFF) append_utf8(c, text);
  }
  return text;
}

class Table {
 public:
  Table() : entries_(kCodePoints, 0) {
    const std::string text = all_characters();
    const auto kind = [](CharacterKind k) { return static_cast<std::uint8_t>(k); };
    mark(text, R"(\p{L}+)", kind(CharacterKind::letter));
    mark(text, R"(\p{N}+)", kind(CharacterKind::number));
    mark(text, R"(\p{White_Space}+)", kind(CharacterKind::blank));
    mark(text, R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+)", kWordBit);
  }

  std::uint8_t operator[](char32_t character) const { return entries_[character]; }

 private:
  /// Sets `bits` on all characters in the matches of `pattern`.
  void mark(const std::string& text, const char* pattern, std::uint8_t bits) {
    const Code code = compile(pattern);
    const Match match(pcre2_match_data_create(1, nullptr), &pcre2_match_data_free);
    if (!match) throw std::bad_alloc();
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    for (std::size_t position = 0; position < text.size();) {
      const int found = pcre2_match(code.get(), subject, text.size(), position, PCRE2_NO_UTF_CHECK,
                                    match.get(), nullptr);
      if (found == PCRE2_ERROR_NOMATCH) return;
      if (found < 1) throw Error(fmt::format("PCRE2 fails on {} (error {})", pattern, found));
      const PCRE2_SIZE* span = pcre2_get_ovector_pointer(match.get());
      for (position = span[0]; position < span[1];) {
        const Character character = character_at(text, position);
        entries_[character.code] = static_cast<std::uint8_t>(entries_[character.code] | bits);
        position += character.length;
      }
    }
  }

  std::vector<std::uint8_t> entries_;
};

const Table& table() {
  static const Table made;
  return made;
}

}  // namespace

CharacterKind kind_of(char32_t character) {
  return static_cast<CharacterKind>(table()[character] & 3U);
}

bool is_word_character(char32_t character) { return (table()[character] & kWordBit) != 0; }

}  // namespace cajal::data
