// A file of text: whatever its bytes, what is handed out is UTF-8 without NUL, ends once, and does
// not depend on the size of the pieces.
#include <string>

#include "data/corpus.h"
#include "data/utf8.h"
#include "support.h"
#include "targets.h"

namespace cajal::fuzz {
namespace {

struct Read {
  std::string text;
  int ends = 0;
  data::CorpusStats stats;
};

Read read_in_pieces(const data::Corpus& corpus, std::size_t piece_bytes) {
  Read read;
  read.stats = corpus.for_each(
      [&](std::string_view text, bool last) {
        require(data::is_utf8(text), "a piece is UTF-8");
        require(text.find('\0') == std::string_view::npos, "text has no NUL");
        require(read.ends == 0, "nothing comes after the end");
        read.text += text;
        read.ends += last ? 1 : 0;
      },
      piece_bytes);
  require(read.ends == 1, "a file ends once");
  return read;
}

}  // namespace

void text_corpus(std::string_view input) {
  if (input.empty()) return;
  const std::size_t piece_bytes = 4 + static_cast<unsigned char>(input.front());
  static const Scratch scratch;
  const auto file = scratch.put("text.txt", input.substr(1));
  accept_or_refuse([&] {
    const auto corpus = data::Corpus::open({file});
    const Read whole = read_in_pieces(corpus, input.size() + 4);
    const Read pieces = read_in_pieces(corpus, piece_bytes);
    require(whole.text == pieces.text, "pieces join to the text");
    require(whole.stats.repaired_bytes == pieces.stats.repaired_bytes,
            "what was replaced is counted whatever the pieces");
  });
}

}  // namespace cajal::fuzz
