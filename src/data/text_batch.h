// Text gathered from a corpus until there is enough for all threads.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "data/corpus.h"

namespace cajal::data {

/// Work for one thread: text that begins and ends between words.
struct Chunk {
  std::string_view text;
  bool ends_file = false;
};

/// Gathers the pieces that a corpus hands out and passes them on as chunks, in order, whenever
/// enough have come. What the chunks are depends on the text alone. Memory is bounded by one batch
/// and piece.
class TextBatch {
 public:
  using Process = std::function<void(const std::vector<Chunk>& chunks)>;

  explicit TextBatch(Process process) : process_(std::move(process)) {}

  void add(std::string_view text, bool last);
  void flush();

 private:
  struct Range {
    std::size_t begin = 0;
    std::size_t size = 0;
    bool ends_file = false;
  };

  Process process_;
  std::string text_;
  std::vector<Range> ranges_;
};

}  // namespace cajal::data
