// Merges by pair: which come first, and what they make.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "data/tokenizer.h"

namespace cajal::data {

struct Merge {
  TokenId left = 0;
  TokenId right = 0;
  TokenId result = 0;
};

/// Open addressing in one array: the lookup is the inner loop of encoding.
class MergeTable {
 public:
  struct Entry {
    std::uint64_t pair = kNoPair;
    std::int32_t rank = 0;  ///< Place among the merges; lower goes first.
    TokenId result = 0;
  };

  /// Of a pair that occurs twice the first counts.
  explicit MergeTable(const std::vector<Merge>& merges);

  /// Null when the two do not merge.
  const Entry* find(TokenId left, TokenId right) const {
    const std::uint64_t pair = key(left, right);
    for (std::size_t slot = hash(pair);; slot = (slot + 1) & mask_) {
      if (entries_[slot].pair == pair) return &entries_[slot];
      if (entries_[slot].pair == kNoPair) return nullptr;
    }
  }

 private:
  static constexpr std::uint64_t kNoPair = ~std::uint64_t{0};  // Ids are not negative.

  static std::uint64_t key(TokenId left, TokenId right) {
    return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 |
           static_cast<std::uint32_t>(right);
  }
  std::size_t hash(std::uint64_t pair) const { return (pair * 0x9E3779B97F4A7C15U) >> shift_; }

  std::vector<Entry> entries_;
  std::size_t mask_ = 0;
  unsigned shift_ = 0;
};

}  // namespace cajal::data
