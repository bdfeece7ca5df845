// How often each word occurs in a corpus.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
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

/// Counts the words of about `max_bytes` of the corpus (0: all) on `threads` threads. `progress` is
/// called on the calling thread with the share done.
WordCounter count_words(const Corpus& corpus, std::int64_t max_bytes, int threads,
                        const std::function<void(double)>& progress);

}  // namespace cajal::data
