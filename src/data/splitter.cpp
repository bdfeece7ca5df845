#include "data/splitter.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <array>
#include <cstdint>
#include <new>

#include "cajal/error.h"

namespace cajal::data {
namespace {

enum class Kind : std::uint8_t { sign, letter, digit, blank, beyond };

constexpr std::array<Kind, 256> make_kinds() {
  std::array<Kind, 256> kinds{};
  for (std::size_t c = 0; c < 256; ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool digit = c >= '0' && c <= '9';
    const bool blank = c == ' ' || (c >= '\t' && c <= '\r');
    kinds[c] = c >= 0x80 ? Kind::beyond
               : letter  ? Kind::letter
               : digit   ? Kind::digit
               : blank   ? Kind::blank
                         : Kind::sign;
  }
  return kinds;
}

constexpr std::array<Kind, 256> kKinds = make_kinds();

Kind kind_at(std::string_view text, std::size_t position) {
  return kKinds[static_cast<unsigned char>(text[position])];
}

/// Length of 's 't 're 've 'm 'll 'd at `position`, 0 if none.
std::size_t contraction(std::string_view text, std::size_t position) {
  const std::string_view after = text.substr(position + 1, 2);
  if (after.empty()) return 0;
  if (std::string_view("stmd").find(after[0]) != std::string_view::npos) return 2;
  return after == "re" || after == "ve" || after == "ll" ? 3 : 0;
}

std::size_t end_of_run(std::string_view text, std::size_t position, Kind kind) {
  while (position < text.size() && kind_at(text, position) == kind) ++position;
  return position;
}

}  // namespace

std::size_t ascii_word_end(std::string_view text, std::size_t position) {
  if (text[position] == '\'') {
    if (const std::size_t length = contraction(text, position)) return position + length;
  }
  std::size_t start = position;
  Kind kind = kind_at(text, start);
  if (text[position] == ' ' && position + 1 < text.size()) {
    const Kind next = kind_at(text, position + 1);
    if (next != Kind::blank) {
      kind = next;
      ++start;
    }
  }
  if (kind == Kind::beyond) return 0;
  const std::size_t end = end_of_run(text, start, kind);
  if (end == text.size()) return end;
  if (kind_at(text, end) == Kind::beyond) return 0;
  // The last blank of several is left for the word that follows.
  return kind == Kind::blank && end - position > 1 ? end - 1 : end;
}

struct Splitter::Pattern {
  std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)> code{nullptr, &pcre2_code_free};
};

Splitter::Splitter() : pattern_(std::make_unique<Pattern>()) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pattern_->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(kSplitPattern),
                                     PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_NO_UTF_CHECK, &error,
                                     &offset, nullptr));
  if (!pattern_->code) {
    throw Error(
        fmt::format("PCRE2 does not take the split pattern (error {} at {})", error, offset),
        "install PCRE2 10.40 or later with Unicode support");
  }
  // Without a JIT for this machine pcre2_match interprets: slower, the same words.
  pcre2_jit_compile(pattern_->code.get(), PCRE2_JIT_COMPLETE);
}

Splitter::~Splitter() = default;

struct Splitter::Matcher::State {
  const pcre2_code* code = nullptr;
  std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match{nullptr,
                                                                            &pcre2_match_data_free};
};

Splitter::Matcher::Matcher(const Splitter& splitter) : state_(std::make_unique<State>()) {
  state_->code = splitter.pattern_->code.get();
  state_->match.reset(pcre2_match_data_create(1, nullptr));
  if (!state_->match) throw std::bad_alloc();
}

Splitter::Matcher::~Matcher() = default;
Splitter::Matcher::Matcher(Matcher&&) noexcept = default;

std::size_t Splitter::Matcher::word_end(std::string_view text, std::size_t position) {
  const int found =
      pcre2_match(state_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), position,
                  PCRE2_ANCHORED | PCRE2_NO_UTF_CHECK, state_->match.get(), nullptr);
  if (found < 1) throw Error(fmt::format("PCRE2 failed to split text (error {})", found));
  return pcre2_get_ovector_pointer(state_->match.get())[1];
}

}  // namespace cajal::data
