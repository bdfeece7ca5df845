// The split of any bytes into words: the words join to the text, none is empty, and in valid text
// each ends where GPT-2's regular expression, in PCRE2's hands, ends it.
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <memory>
#include <string>

#include "data/splitter.h"
#include "data/utf8.h"
#include "support.h"
#include "targets.h"

namespace cajal::fuzz {
namespace {

/// The pattern is slow, and its limits make it fail on a long word.
constexpr std::size_t kLongestCompared = 2048;

class Pattern {
 public:
  Pattern()
      : code_(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(data::kSplitPattern),
                            PCRE2_ZERO_TERMINATED, PCRE2_UTF, &error_, &place_, nullptr),
              &pcre2_code_free),
        match_(pcre2_match_data_create(1, nullptr), &pcre2_match_data_free) {
    require(code_ != nullptr, "the pattern compiles");
  }

  std::size_t word_end(std::string_view text, std::size_t position) {
    const int found =
        pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), position,
                    PCRE2_ANCHORED | PCRE2_NO_UTF_CHECK, match_.get(), nullptr);
    require(found > 0, "the pattern matches everywhere");
    return pcre2_get_ovector_pointer(match_.get())[1];
  }

 private:
  int error_ = 0;
  PCRE2_SIZE place_ = 0;
  std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)> code_;
  std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match_;
};

void compare(std::string_view valid) {
  static Pattern pattern;
  for (std::size_t at = 0; at < valid.size();) {
    const std::size_t end = data::word_end(valid, at);
    require(end > at && end <= valid.size(), "a word ends after its beginning");
    require(end == pattern.word_end(valid, at), "a word ends where the pattern ends it");
    at = end;
  }
}

}  // namespace

void words(std::string_view input) {
  accept_or_refuse([&] {
    std::size_t position = 0;
    data::for_each_word(input, [&](std::string_view word) {
      require(!word.empty(), "a word has bytes");
      require(word.data() == input.data() + position, "words follow one another");
      position += word.size();
    });
    require(position == input.size(), "words join to the text");
    const std::string_view begin = input.substr(0, kLongestCompared);
    compare(begin.substr(0, data::valid_utf8_prefix(begin)));
  });
}

}  // namespace cajal::fuzz
