#include "data/merge_table.h"

#include <algorithm>
#include <bit>

namespace cajal::data {

MergeTable::MergeTable(const std::vector<Merge>& merges) {
  const std::size_t slots = std::bit_ceil(std::max<std::size_t>(merges.size() * 2, 16));
  entries_.resize(slots);
  mask_ = slots - 1;
  shift_ = 64U - static_cast<unsigned>(std::countr_zero(slots));
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const Merge& merge = merges[rank];
    if (find(merge.left, merge.right) != nullptr) continue;
    const std::uint64_t pair = key(merge.left, merge.right);
    std::size_t slot = hash(pair);
    while (entries_[slot].pair != kNoPair) slot = (slot + 1) & mask_;
    entries_[slot] = {pair, static_cast<std::int32_t>(rank), merge.result};
  }
}

}  // namespace cajal::data
