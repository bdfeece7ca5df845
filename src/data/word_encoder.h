// BPE of single words, with a memory of the short ones.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "data/bpe_model.h"

namespace cajal::data {

/// For one thread. Applies the merge of the lowest rank, the leftmost of several, until none
/// applies: the order of Hugging Face tokenizers, also for vocabularies whose merges are out of
/// order.
class WordEncoder {
 public:
  /// Remembers up to about `slots` words.
  WordEncoder(const BpeModel& model, std::size_t slots);

  /// Appends the tokens of `word`. `text_end` is the end of the memory that `word` lies in.
  void append(std::string_view word, const char* text_end, std::vector<TokenId>& ids);

 private:
  /// A cache line: a word of up to 16 bytes and its tokens.
  struct alignas(64) Slot {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    std::uint16_t length = 0;  ///< 0 in an empty slot.
    std::uint16_t count = 0;
    std::array<TokenId, 11> ids{};
  };
  /// A token of the word being merged, in a list.
  struct Node {
    TokenId id = 0;
    std::int32_t previous = -1;
    std::int32_t next = -1;
  };
  struct Candidate {
    std::int32_t rank = 0;
    std::int32_t position = 0;
    TokenId left = 0;
    TokenId right = 0;
  };

  std::span<const TokenId> merge(std::string_view word);
  void read_symbols(std::string_view word);
  void merge_by_scan();
  void merge_by_heap();
  void push_candidate(std::int32_t left, std::int32_t right);

  const BpeModel& model_;
  std::vector<Slot> slots_;
  unsigned shift_ = 0;
  std::vector<TokenId> symbols_;
  std::vector<std::int32_t> ranks_;
  std::vector<Node> nodes_;
  std::vector<Candidate> heap_;
};

}  // namespace cajal::data
