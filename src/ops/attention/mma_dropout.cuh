// Dropout's random bits in the order of accumulators.
#pragma once

#include "ops/attention/cuda_device.cuh"

namespace cajal::ops::cuda_attention {

/// Which elements of an accumulator of 16 x (8 kColumnTiles) with a row a query are kept. Two lanes
/// share the four keys of a random block: one draws for the upper row, one for the lower, and they
/// swap.
template <int kColumnTiles>
class QueryRowBits {
 public:
  /// `upper` and `lower` are the queries of this lane's rows; the keys begin at `first_key`.
  __device__ QueryRowBits(const DropoutBits& random, int upper, int lower, int first_key) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    odd_ = lane % 2;
    const int query = odd_ == 0 ? upper : lower;
    const int group = first_key / 4 + lane % 4 / 2;
    std::uint32_t drawn = 0;
#pragma unroll 2
    for (int n = 0; n < kColumnTiles; ++n) {
      drawn |= random.four_keys(query, group + 2 * n) << (4 * n);
    }
    const std::uint32_t swapped = __shfl_xor_sync(kAllLanes, drawn, 1);
    row_[0] = odd_ == 0 ? drawn : swapped;
    row_[1] = odd_ == 0 ? swapped : drawn;
  }

  /// Element i of column tile n.
  __device__ bool kept(int n, int i) const {
    return ((row_[i / 2] >> (4 * n + 2 * odd_ + i % 2)) & 1U) != 0;
  }

 private:
  std::uint32_t row_[2];
  int odd_;
};

/// The same for an accumulator with a row a key. Four lanes share the keys
/// of a random block; each draws for one of the four queries and halves that all of them hold.
template <int kColumnTiles>
class KeyRowBits {
 public:
  /// The keys begin at `first_key`, a multiple of 16, the queries at `first_query`.
  __device__ KeyRowBits(const DropoutBits& random, int first_query, int first_key) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int row = lane / 4;
    key_ = row % 4;
    const int query = first_query + lane % 4 * 2 + key_ % 2;
    const int group = first_key / 4 + row / 4 + key_ / 2 * 2;
    std::uint32_t drawn = 0;
#pragma unroll 2
    for (int n = 0; n < kColumnTiles; ++n) {
      drawn |= random.four_keys(query + 8 * n, group) << (4 * n);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      element_[i] = __shfl_sync(kAllLanes, drawn, (lane & ~12) | (i << 2));
    }
  }

  __device__ bool kept(int n, int i) const { return ((element_[i] >> (4 * n + key_)) & 1U) != 0; }

 private:
  std::uint32_t element_[4];
  int key_;
};

}  // namespace cajal::ops::cuda_attention
