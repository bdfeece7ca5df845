// How often each word occurs in a corpus.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/corpus.h"

namespace cajal::data {

/// A hash table from words to counts; words are copied once, into blocks that stay put.
class WordCounter {
 public:
  struct Entry {
    std::string_view word;
    std::uint64_t hash = 0;
    std::int64_t count = 0;
  };

  WordCounter();

  void add(std::string_view word, std::int64_t count = 1);
  /// Adds all that `other` has counted.
  void merge(const WordCounter& other);
  std::size_t size() const { return used_; }
  /// Sorted by word.
  std::vector<Entry> sorted() const;

 private:
  void grow();
  std::string_view keep(std::string_view word);

  std::vector<Entry> entries_;
  std::size_t used_ = 0;
  std::vector<std::unique_ptr<char[]>> blocks_;
  std::size_t block_used_ = 0;
  std::size_t block_size_ = 0;
};

struct CountOptions {
  std::int64_t max_bytes = 0;  ///< About so many are read, spread over the corpus; 0: all.
  int threads = 1;
  std::vector<std::string> passed_over;  ///< No words: special tokens written in the text.
  /// Called on the calling thread with the share done.
  std::function<void(double)> progress;
};

WordCounter count_words(const Corpus& corpus, const CountOptions& options);

}  // namespace cajal::data
