// The split of any bytes into words: the words join to the text, none is empty, and the short way
// for ASCII agrees with the regular expression.
#include <string>

#include "data/splitter.h"
#include "data/utf8.h"
#include "support.h"
#include "targets.h"

namespace cajal::fuzz {

void words(std::string_view input) {
  static const data::Splitter splitter;
  data::Splitter::Matcher matcher(splitter);
  accept_or_refuse([&] {
    std::size_t position = 0;
    data::for_each_word(input, matcher, [&](std::string_view word) {
      require(!word.empty(), "a word has bytes");
      require(word.data() == input.data() + position, "words follow one another");
      position += word.size();
    });
    require(position == input.size(), "words join to the text");

    const std::string_view valid = input.substr(0, data::valid_utf8_prefix(input));
    for (std::size_t at = 0; at < valid.size();) {
      const std::size_t end = matcher.word_end(valid, at);
      const std::size_t quick = data::ascii_word_end(valid, at);
      require(quick == 0 || quick == end, "the short way agrees with the pattern");
      require(end > at && end <= valid.size(), "a word ends after its beginning");
      at = end;
    }
  });
}

}  // namespace cajal::fuzz
