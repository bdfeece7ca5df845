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
/// enough have come. What the chunks are depends on the text alone, not on its pieces: a file is
/// cut about every 128 KiB where a word begins, inside a word only where that one is longer. Memory
/// is bounded by one batch and piece.
class TextBatch {
 public:
  using Process = std::function<void(const std::vector<Chunk>& chunks)>;
  /// Whether `text`, of which more may follow, may be cut before `position`.
  using MayCut = std::function<bool(std::string_view text, std::size_t position)>;

  /// `may_cut` must answer by the 64 KiB before and behind the position alone.
  explicit TextBatch(Process process, MayCut may_cut = {})
      : process_(std::move(process)), may_cut_(std::move(may_cut)) {}

  void add(std::string_view text, bool last);
  /// Passes on all files that have ended.
  void flush();

 private:
  struct Range {
    std::size_t begin = 0;
    std::size_t size = 0;
    bool ends_file = false;
  };

  void cut_chunk();
  std::size_t choose_cut() const;
  std::string_view open_text() const { return std::string_view(text_).substr(open_); }

  Process process_;
  MayCut may_cut_;
  std::string text_;
  std::size_t open_ = 0;  ///< Where the text begins that is in no chunk yet.
  std::vector<Range> ranges_;
};

}  // namespace cajal::data
