#include "data/permutation.h"

#include <algorithm>
#include <bit>

#include "data/hash.h"

namespace cajal::data {

Permutation::Permutation(std::int64_t n, std::uint64_t key) : n_(static_cast<std::uint64_t>(n)) {
  const auto bits = static_cast<unsigned>(std::bit_width(n_ > 0 ? n_ - 1 : 0));
  half_bits_ = std::max(1U, (bits + 1) / 2);
  for (std::size_t round = 0; round < kRounds; ++round) keys_[round] = mix64(key + round);
}

std::int64_t Permutation::operator()(std::int64_t index) const {
  const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
  auto value = static_cast<std::uint64_t>(index);
  do {
    std::uint64_t left = value >> half_bits_;
    std::uint64_t right = value & mask;
    for (const std::uint64_t key : keys_) {
      const std::uint64_t next = left ^ (mix64(right ^ key) & mask);
      left = right;
      right = next;
    }
    value = left << half_bits_ | right;
  } while (value >= n_);
  return static_cast<std::int64_t>(value);
}

}  // namespace cajal::data
