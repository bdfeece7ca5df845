// GPT-2's split of text into words, the pieces inside which BPE merges.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

namespace cajal::data {

/// Radford et al. 2019, as in tiktoken and Hugging Face: contractions, letters, digits, other signs
/// (each with one space before it), and white space of which the last blank goes to the next word.
inline constexpr const char* kSplitPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+)"
    R"(|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+)";

/// The end of the word at `position` where ASCII alone decides it, 0 where it does not. Nearly all
/// words of code and Western text end here, an order of magnitude sooner than in a regular
/// expression.
std::size_t ascii_word_end(std::string_view text, std::size_t position);

/// The pattern compiled once. One splitter serves many threads, each with its own Matcher.
class Splitter {
 public:
  Splitter();
  ~Splitter();
  Splitter(const Splitter&) = delete;
  Splitter& operator=(const Splitter&) = delete;

  /// What one thread needs to match.
  class Matcher {
   public:
    explicit Matcher(const Splitter& splitter);
    ~Matcher();
    Matcher(Matcher&&) noexcept;

    /// The end of the word that begins at `position` of valid UTF-8.
    std::size_t word_end(std::string_view text, std::size_t position);

   private:
    struct State;
    std::unique_ptr<State> state_;
  };

 private:
  struct Pattern;
  std::unique_ptr<Pattern> pattern_;
};

/// Calls visit(word) for every word of any byte string, in order; the words join to the text. A
/// byte that belongs to no UTF-8 character is a word of its own.
template <class Visit>
void for_each_word(std::string_view text, Splitter::Matcher& matcher, Visit&& visit);

}  // namespace cajal::data

#include "data/utf8.h"

template <class Visit>
void cajal::data::for_each_word(std::string_view text, Splitter::Matcher& matcher, Visit&& visit) {
  while (!text.empty()) {
    const std::string_view valid = text.substr(0, valid_utf8_prefix(text));
    for (std::size_t position = 0; position < valid.size();) {
      std::size_t end = ascii_word_end(valid, position);
      if (end == 0) end = matcher.word_end(valid, position);
      visit(valid.substr(position, end - position));
      position = end;
    }
    text.remove_prefix(valid.size());
    if (text.empty()) break;
    visit(text.substr(0, 1));
    text.remove_prefix(1);
  }
}
