#include "data/text_batch.h"

#include "data/utf8.h"

namespace cajal::data {
namespace {

constexpr std::size_t kBatchBytes = std::size_t{8} << 20;
constexpr std::size_t kChunkBytes = std::size_t{128} << 10;
constexpr std::size_t kLookAhead = std::size_t{64} << 10;
constexpr int kTries = 1000;  // Past so many refused cuts the text is nothing but tokens.

}  // namespace

void TextBatch::add(std::string_view text, bool last) {
  text_.append(text);
  while (open_text().size() >= kChunkBytes + kLookAhead) cut_chunk();
  if (last) {
    while (open_text().size() > kChunkBytes) cut_chunk();
    ranges_.push_back({open_, open_text().size(), true});
    open_ = text_.size();
  }
  if (open_ >= kBatchBytes) flush();
}

void TextBatch::cut_chunk() {
  const std::size_t size = choose_cut();
  ranges_.push_back({open_, size, false});
  open_ += size;
}

std::size_t TextBatch::choose_cut() const {
  const std::string_view text = open_text().substr(0, kChunkBytes + kLookAhead);
  const std::size_t first = cut_point(text.substr(0, kChunkBytes));
  if (!may_cut_) return first;
  std::size_t position = first;
  for (int tries = 0; tries < kTries && position > 0; ++tries) {
    if (may_cut_(text, position)) return position;
    // Before a line end or blank the search goes on from there, inside a word from one byte less.
    const std::size_t next = cut_point(text.substr(0, position));
    position = next < position ? next : cut_point(text.substr(0, position - 1));
  }
  return first;
}

void TextBatch::flush() {
  std::vector<Chunk> chunks;
  chunks.reserve(ranges_.size());
  for (const Range& range : ranges_) {
    chunks.push_back({std::string_view(text_).substr(range.begin, range.size), range.ends_file});
  }
  if (!chunks.empty()) process_(chunks);
  ranges_.clear();
  text_.erase(0, open_);
  open_ = 0;
}

}  // namespace cajal::data
