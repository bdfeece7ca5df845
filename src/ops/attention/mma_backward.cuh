// What the two roles of the backward pass on tensor cores share.
//
// A block of threads keeps 64 rows of its role, keys or queries, and sees tiles of the other pass
// by. Both recompute probabilities and their gradients, so no sum is shared between blocks and
// every gradient is added up in one order.
#pragma once

#include <numbers>

#include "ops/attention/mma_dropout.cuh"
#include "ops/attention/mma_tile.cuh"

namespace cajal::ops::cuda_attention {

template <int kWidth_, bool kDropout_>
struct BackwardShape {
  static constexpr int kWidth = kWidth_;
  static constexpr bool kDropout = kDropout_;
  static constexpr int kSplits = kWidth <= 64 ? 2 : 1;  ///< Groups that share the tiles out.
  static constexpr int kGroupThreads = 128;             ///< 16 rows a warp.
  static constexpr int kThreads = kGroupThreads * kSplits;
  static constexpr bool kKept = kWidth <= 64;            ///< The role's rows stay in registers.
  static constexpr int kChunk = kWidth <= 64 ? 64 : 32;  ///< Columns of scores at a time.

  // Shared memory: three tiles of the role's own rows; for each group two stages of three tiles;
  // then numbers of the rows of a tile, of the role's own first.
  static constexpr int kStage = 3 * kTileElements<kWidth>;
  static constexpr int kNumbers = 3 * kTile;  ///< Of a group: lse of two stages, delta.
  static constexpr int kTileBytes =
      (3 * kTileElements<kWidth> + kSplits * 2 * kStage) * static_cast<int>(sizeof(Bf16));
  static constexpr int kBytes =
      kTileBytes + (kTile + kSplits * kNumbers) * static_cast<int>(sizeof(float));
};

/// Where a thread stands, and its block's and group's shared memory.
template <class S>
struct BackwardThread {
  int head;
  int block;   ///< Of the role's rows.
  int split;   ///< Group.
  int thread;  ///< In the group.
  Bf16* own;   ///< Three tiles.
  Bf16* stages;
  float* own_numbers;
  float* numbers;

  __device__ BackwardThread(int head_index, int block_index, void* memory)
      : head(head_index),
        block(block_index),
        split(static_cast<int>(threadIdx.x) / S::kGroupThreads),
        thread(static_cast<int>(threadIdx.x) % S::kGroupThreads),
        own(static_cast<Bf16*>(memory)),
        stages(own + (1 + 2 * split) * S::kStage),
        own_numbers(reinterpret_cast<float*>(static_cast<char*>(memory) + S::kTileBytes)),
        numbers(own_numbers + kTile + split * S::kNumbers) {}

  __device__ int first_row() const { return thread / 32 * 16; }
  /// This lane's rows of its warp's sixteen.
  __device__ int upper_row() const { return first_row() + thread % 32 / 4; }
  __device__ Group<S::kSplits> group() const { return {split, S::kGroupThreads}; }

  __device__ TileSource source(const HeadRows<const Bf16>& rows, const Sizes& sizes,
                               bool vector) const {
    return {rows_of(rows, sizes, head), sizes.tokens, sizes.width, vector};
  }
};

/// The scalar product of row thread / 2 of two tiles, known to both threads of the row.
template <int kWidth>
__device__ float row_product(const Bf16* a, const Bf16* b, int thread) {
  const int at = thread / 2 * kTileStride<kWidth> + thread % 2 * (kWidth / 2);
  float sum = 0.0F;
#pragma unroll
  for (int i = 0; i < kWidth / 16; ++i) {
    const uint4 a8 = *reinterpret_cast<const uint4*>(a + at + 8 * i);
    const uint4 b8 = *reinterpret_cast<const uint4*>(b + at + 8 * i);
    const std::uint32_t a_pairs[4] = {a8.x, a8.y, a8.z, a8.w};
    const std::uint32_t b_pairs[4] = {b8.x, b8.y, b8.z, b8.w};
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      sum = fmaf(__uint_as_float(a_pairs[j] << 16), __uint_as_float(b_pairs[j] << 16), sum);
      sum = fmaf(__uint_as_float(a_pairs[j] & 0xffff0000U),
                 __uint_as_float(b_pairs[j] & 0xffff0000U), sum);
    }
  }
  return sum + __shfl_xor_sync(kAllLanes, sum, 1);
}

/// A probability and the gradient of its score, from the score and the gradient of what became of
/// the probability.
struct Differentiated {
  float probability;  ///< 0 where dropped.
  float gradient;
};

__device__ inline Differentiated differentiate(float exponent, float dprobability, float delta,
                                               bool visible, bool kept, float factor) {
  const float p = visible ? exp2_fast(exponent) : 0.0F;
  const float dp = kept ? dprobability * factor : 0.0F;
  return {kept ? p : 0.0F, p * (dp - delta)};
}

/// Hands an accumulator to the same thread of group 0, through the giver's own stages.
template <int kColumns>
__device__ void put_sums(const float (&sums)[kColumns][4], float* room, int thread, int threads) {
#pragma unroll
  for (int i = 0; i < 4 * kColumns; ++i) room[i * threads + thread] = sums[i / 4][i % 4];
}

template <int kColumns>
__device__ void add_sums(float (&sums)[kColumns][4], const float* room, int thread, int threads) {
#pragma unroll
  for (int i = 0; i < 4 * kColumns; ++i) sums[i / 4][i % 4] += room[i * threads + thread];
}

}  // namespace cajal::ops::cuda_attention
