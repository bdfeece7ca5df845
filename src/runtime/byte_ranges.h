// A set of byte ranges.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <map>

namespace cajal {

class ByteRanges {
 public:
  /// Adds [begin, end), joining what it touches.
  void add(std::size_t begin, std::size_t end) {
    if (begin >= end) return;
    auto next = ranges_.upper_bound(begin);
    if (next != ranges_.begin() && std::prev(next)->second >= begin) --next;
    while (next != ranges_.end() && next->first <= end) {
      begin = std::min(begin, next->first);
      end = std::max(end, next->second);
      next = ranges_.erase(next);
    }
    ranges_.emplace(begin, end);
  }

  /// True when every byte of [begin, end) has been added.
  bool cover(std::size_t begin, std::size_t end) const {
    if (begin >= end) return true;
    const auto next = ranges_.upper_bound(begin);
    return next != ranges_.begin() && std::prev(next)->second >= end;
  }

 private:
  std::map<std::size_t, std::size_t> ranges_;  // Begin to end; disjoint, not touching.
};

}  // namespace cajal
