// A shuffled order of [0, n) that takes no memory.
#pragma once

#include <array>
#include <cstdint>

namespace cajal::data {

/// A Feistel network on the least even number of bits that holds n; values outside walk on until
/// they fall inside (Black and Rogaway 2002). A bijection for every key.
class Permutation {
 public:
  Permutation(std::int64_t n, std::uint64_t key);

  std::int64_t operator()(std::int64_t index) const;

 private:
  static constexpr std::size_t kRounds = 6;

  std::uint64_t n_ = 0;
  unsigned half_bits_ = 1;
  std::array<std::uint64_t, kRounds> keys_{};
};

}  // namespace cajal::data
