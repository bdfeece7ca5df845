// How heads and blocks of tokens are dealt out to threads.
#pragma once

#include <cstdint>

namespace cajal::ops::attention_kernels {

/// Every head is cut into this many pieces.
inline std::int64_t pieces_a_head(std::int64_t heads, std::int64_t blocks, int threads) {
  // A piece repeats the packing of its head, so whole heads are best where they fill the threads.
  constexpr std::int64_t kTurns = 4;
  if (heads % threads == 0 || heads >= kTurns * threads) return 1;
  const std::int64_t wanted = (kTurns * threads + heads - 1) / heads;
  return wanted < blocks ? wanted : blocks;
}

struct Range {
  std::int64_t first;
  std::int64_t last;
};

/// Piece number `piece` of `pieces` of [0, count), sizes differing by one at most.
inline Range piece_of(std::int64_t count, std::int64_t pieces, std::int64_t piece) {
  return {count * piece / pieces, count * (piece + 1) / pieces};
}

}  // namespace cajal::ops::attention_kernels
