#include "data/text_batch.h"

#include "data/utf8.h"

namespace cajal::data {
namespace {

constexpr std::size_t kBatchBytes = std::size_t{8} << 20;
constexpr std::size_t kChunkBytes = std::size_t{128} << 10;

}  // namespace

void TextBatch::add(std::string_view text, bool last) {
  while (text.size() > kChunkBytes) {
    const std::string_view chunk = text.substr(0, cut_point(text.substr(0, kChunkBytes)));
    ranges_.push_back({text_.size(), chunk.size(), false});
    text_.append(chunk);
    text.remove_prefix(chunk.size());
  }
  ranges_.push_back({text_.size(), text.size(), last});
  text_.append(text);
  if (text_.size() >= kBatchBytes) flush();
}

void TextBatch::flush() {
  std::vector<Chunk> chunks;
  chunks.reserve(ranges_.size());
  for (const Range& range : ranges_) {
    chunks.push_back({std::string_view(text_).substr(range.begin, range.size), range.ends_file});
  }
  if (!chunks.empty()) process_(chunks);
  ranges_.clear();
  text_.clear();
}

}  // namespace cajal::data
