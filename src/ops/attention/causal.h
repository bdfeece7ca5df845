// Which part of a block of keys a block of queries may see.
#pragma once

#include <algorithm>
#include <cstdint>

#include "ops/attention/lanes.h"
#include "ops/attention/pack.h"

namespace cajal::ops::attention_kernels {

/// Key r of the block is visible to query c when r <= c + offset.
class CausalBlock {
 public:
  CausalBlock(std::int64_t first_query, std::int64_t first_key)
      : offset_(
            static_cast<int>(std::clamp<std::int64_t>(first_query - first_key, -kBlock, kBlock))) {}

  int offset() const { return offset_; }
  bool masked() const { return offset_ < kBlock - 1; }

  /// Keys [0, key_end(h)) hold all that queries [h * kHalf, (h + 1) * kHalf) see; a multiple of
  /// kHalf.
  int key_end(int half) const {
    const int keys = offset_ + kHalf * (half + 1);
    return std::clamp((keys + kHalf - 1) / kHalf * kHalf, 0, kBlock);
  }

  /// The first query, a multiple of kHalf, that sees anything of keys [h * kHalf, (h + 1) * kHalf).
  int query_begin(int half) const {
    return key_end(0) > kHalf * half ? 0 : key_end(1) > kHalf * half ? kHalf : kBlock;
  }

  /// For kLanes queries from `column`: lanes whose query sees a key r are those with limit >= r.
  Ints limit(int column) const { return lane_numbers() + (column + offset_); }

 private:
  int offset_;
};

}  // namespace cajal::ops::attention_kernels
