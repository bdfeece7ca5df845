#include "data/word_counts.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <string>

#include "data/added_tokens.h"
#include "data/parallel.h"
#include "data/splitter.h"
#include "data/text_batch.h"

namespace cajal::data {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{256} << 10;

}  // namespace

WordCounter::WordCounter() : entries_(1024) {}

void WordCounter::add(std::string_view word, std::int64_t count) {
  const std::uint64_t hash = std::hash<std::string_view>{}(word);
  const std::size_t mask = entries_.size() - 1;
  std::size_t slot = hash & mask;
  while (entries_[slot].count != 0) {
    Entry& entry = entries_[slot];
    if (entry.hash == hash && entry.word == word) {
      entry.count += count;
      return;
    }
    slot = (slot + 1) & mask;
  }
  entries_[slot] = {keep(word), hash, count};
  if (++used_ * 2 > entries_.size()) grow();
}

void WordCounter::merge(const WordCounter& other) {
  for (const Entry& entry : other.entries_) {
    if (entry.count != 0) add(entry.word, entry.count);
  }
}

std::vector<WordCounter::Entry> WordCounter::sorted() const {
  std::vector<Entry> words;
  words.reserve(used_);
  std::copy_if(entries_.begin(), entries_.end(), std::back_inserter(words),
               [](const Entry& entry) { return entry.count != 0; });
  std::sort(words.begin(), words.end(),
            [](const Entry& a, const Entry& b) { return a.word < b.word; });
  return words;
}

void WordCounter::grow() {
  std::vector<Entry> larger(entries_.size() * 2);
  const std::size_t mask = larger.size() - 1;
  for (const Entry& entry : entries_) {
    if (entry.count == 0) continue;
    std::size_t slot = entry.hash & mask;
    while (larger[slot].count != 0) slot = (slot + 1) & mask;
    larger[slot] = entry;
  }
  entries_ = std::move(larger);
}

std::string_view WordCounter::keep(std::string_view word) {
  if (block_used_ + word.size() > block_size_) {
    block_size_ = std::max(kBlockBytes, word.size());
    block_used_ = 0;
    blocks_.push_back(std::make_unique<char[]>(block_size_));
  }
  char* place = blocks_.back().get() + block_used_;
  std::memcpy(place, word.data(), word.size());
  block_used_ += word.size();
  return {place, word.size()};
}

WordCounter count_words(const Corpus& corpus, const CountOptions& options) {
  std::vector<AddedToken> tokens(options.passed_over.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i].text = options.passed_over[i];
  const AddedTokens passed_over(tokens);
  std::deque<WordCounter> workers(static_cast<std::size_t>(options.threads));

  const std::int64_t all = corpus.stats().bytes;
  const std::int64_t wanted = options.max_bytes > 0 ? std::min(options.max_bytes, all) : all;
  std::int64_t done = 0;
  const auto process = [&](const std::vector<Chunk>& chunks) {
    parallel_for(options.threads, chunks.size(), [&](std::size_t worker, std::size_t item) {
      for (const auto& piece : passed_over.split(chunks[item].text, true)) {
        for_each_word(piece.text, [&](std::string_view word) { workers[worker].add(word); });
      }
    });
    for (const Chunk& chunk : chunks) done += static_cast<std::int64_t>(chunk.text.size());
    if (options.progress) {
      options.progress(std::min(1.0, static_cast<double>(done) / static_cast<double>(wanted)));
    }
  };
  TextBatch batch(process, [&](std::string_view text, std::size_t position) {
    return passed_over.may_cut(text, position);
  });
  corpus.for_each_sample(options.max_bytes,
                         [&](std::string_view text, bool last) { batch.add(text, last); });
  batch.flush();

  for (std::size_t i = 1; i < workers.size(); ++i) workers[0].merge(workers[i]);
  return std::move(workers[0]);
}

}  // namespace cajal::data
