// Blocks of tokens, copied out of the model's tensors into the forms that products take.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cajal/dtype.h"
#include "ops/attention/lanes.h"
#include "ops/vector_math.h"

namespace cajal::ops::attention_kernels {

inline constexpr int kBlock = 64;  ///< Tokens of a block, queries and keys alike.
inline constexpr int kHalf = 32;   ///< Masked parts of a block are skipped in this step.

/// One head's rows of a [.., T, stride] tensor.
template <class Storage>
struct HeadRows {
  const Storage* data = nullptr;
  std::int64_t stride = 0;  ///< Elements from token to token.
  std::int64_t count = 0;   ///< Tokens.
};

inline std::int64_t block_count(std::int64_t tokens) { return (tokens + kBlock - 1) / kBlock; }

template <class Tile>
int padded_depth(int width) {
  constexpr int kMultiple = Tile::kDepthMultiple;
  return (width + kMultiple - 1) / kMultiple * kMultiple;
}

/// Packs blocks of a head. Width is the head's dimension, depth the same padded with zeros to what
/// the tile takes; a block is always kBlock tokens, the missing ones zeros. Every form has
/// kBlock * depth elements:
///   token_left      [token][feature]                as A of a product over features
///   feature_left    [feature][token]                as A of a product over tokens
///   token_right     [feature / pair][token][pair]   as B of a product over features
///   feature_right   [token / pair][feature][pair]   as B of a product over tokens
template <class Storage, class Tile>
class Packer {
 public:
  using Element = typename Tile::Element;

  Packer(int width, int depth, Element* scratch)
      : width_(width), depth_(depth), scratch_(scratch) {}

  /// Elements of scratch that a Packer wants.
  static std::size_t scratch_elements(int depth) { return std::size_t{2} * kBlock * depth; }

  void token_left(const HeadRows<Storage>& from, std::int64_t first, Element* to) const {
    const int rows = static_cast<int>(std::clamp<std::int64_t>(from.count - first, 0, kBlock));
    for (int r = 0; r < rows; ++r) {
      copy_row(from.data + (first + r) * from.stride, to + std::int64_t{r} * depth_);
    }
    std::fill(to + std::int64_t{rows} * depth_, to + std::int64_t{kBlock} * depth_, Element{});
  }

  void token_right(const HeadRows<Storage>& from, std::int64_t first, Element* to) const {
    token_left(from, first, scratch_);
    transpose(scratch_, kBlock, depth_ / Tile::kPair, to);
  }

  void feature_right(const HeadRows<Storage>& from, std::int64_t first, Element* to) const {
    if constexpr (Tile::kPair == 1) {
      token_left(from, first, to);
    } else {
      token_left(from, first, scratch_);
      interleave(scratch_, to);
    }
  }

  void feature_left(const HeadRows<Storage>& from, std::int64_t first, Element* to) const {
    Element* paired = scratch_ + std::int64_t{kBlock} * depth_;
    feature_right(from, first, paired);
    transpose(paired, kBlock / Tile::kPair, depth_, to);
  }

 private:
  void copy_row(const Storage* from, Element* to) const {
    if constexpr (std::is_same_v<Storage, Element>) {
      std::copy_n(from, width_, to);
    } else {
      for (int i = 0; i < width_; ++i) to[i] = static_cast<Element>(from[i]);
    }
    std::fill(to + width_, to + depth_, Element{});
  }

  static const std::uint32_t* words(const Element* p) {
    return reinterpret_cast<const std::uint32_t*>(p);
  }
  static std::uint32_t* words(Element* p) { return reinterpret_cast<std::uint32_t*>(p); }

  static void transpose(const Element* from, int rows, int columns, Element* to) {
    transpose_words(words(from), rows, columns, words(to));
  }

  /// Token pairs side by side: [token][feature] to [token / 2][feature][2].
  void interleave(const Element* from, Element* to) const {
    for (int r = 0; r < kBlock; r += 2) {
      const Element* even = from + std::int64_t{r} * depth_;
      const Element* odd = even + depth_;
      for (int i = 0; i < depth_; i += kLanes) {
        store_lanes(words(to) + (std::int64_t{r} * depth_ / 2 + i), pair_lanes(even + i, odd + i));
      }
    }
  }

  /// kLanes elements of each, as words with `even` in the lower half.
  static Words pair_lanes(const Element* even, const Element* odd) {
    using Halves = std::uint16_t __attribute__((vector_size(2 * kLanes)));
    return __builtin_convertvector(load<Halves>(even), Words) |
           __builtin_convertvector(load<Halves>(odd), Words) << 16;
  }

  int width_;
  int depth_;
  Element* scratch_;
};

/// rows x width of [token][stride] from sums that lie as [feature][token], times a factor a token.
template <class Storage>
void unpack_features(const float* sums, const float* factors, int rows, int width, int depth,
                     float* scratch, Storage* to, std::int64_t stride) {
  transpose_words(reinterpret_cast<const std::uint32_t*>(sums), depth, kBlock,
                  reinterpret_cast<std::uint32_t*>(scratch));
  for (int r = 0; r < rows; ++r) {
    for (int i = 0; i < width; ++i) {
      store(to[r * stride + i], scratch[std::int64_t{r} * depth + i] * factors[r]);
    }
  }
}

}  // namespace cajal::ops::attention_kernels
