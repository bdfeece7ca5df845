// Tiles of a head's rows in shared memory, and their products on tensor cores.
#pragma once

#include "ops/attention/cuda_device.cuh"
#include "ops/attention/mma.cuh"

namespace cajal::ops::cuda_attention {

using Bf16 = __nv_bfloat16;

/// Elements from row to row of a tile: 16 bytes more than a row, so that the eight rows of a matrix
/// that ldmatrix reads lie in different banks.
template <int kWidth>
inline constexpr int kTileStride = kWidth + 8;

template <int kWidth, int kRows = kTile>
inline constexpr int kTileElements = kRows* kTileStride<kWidth>;

/// The rows of a head that a tile is filled from.
struct TileSource {
  Rows<const Bf16> rows;
  int count;    ///< Rows that exist.
  int width;    ///< Features that exist.
  bool vector;  ///< Rows start at multiples of 16 bytes, and the width is one.
};

/// Eight features, one by one.
__device__ inline uint4 gather(const TileSource& source, int row, int column) {
  const auto* const data = reinterpret_cast<const std::uint16_t*>(source.rows.row(row));
  std::uint32_t pairs[4] = {};
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const std::uint32_t bits = column + i < source.width ? data[column + i] : 0;
    pairs[i / 2] |= bits << (i % 2 * 16);
  }
  return {pairs[0], pairs[1], pairs[2], pairs[3]};
}

/// Copies rows [first, first + kRows), zeros where there are none. The copies are asynchronous and
/// belong to the group of copies that is open.
template <int kWidth, int kRows = kTile>
__device__ void load_tile(Bf16* tile, const TileSource& source, int first, int thread,
                          int threads) {
  constexpr int kChunks = kWidth / 8;
  for (int i = thread; i < kRows * kChunks; i += threads) {
    const int row = i / kChunks;
    const int column = i % kChunks * 8;
    Bf16* const to = tile + row * kTileStride<kWidth> + column;
    const bool real = first + row < source.count && column < source.width;
    if (source.vector) {
      copy_async(to, real ? source.rows.row(first + row) + column : source.rows.data, real);
    } else {
      *reinterpret_cast<uint4*>(to) = real ? gather(source, first + row, column) : uint4{};
    }
  }
}

/// Whether what this thread's load_tile copied, and waited for, has anything but finite numbers.
template <int kWidth, int kRows = kTile>
__device__ bool not_all_finite(const Bf16* tile, int thread, int threads) {
  constexpr int kChunks = kWidth / 8;
  const __nv_bfloat162 zero = __floats2bfloat162_rn(0.0F, 0.0F);
  __nv_bfloat162 probe = zero;  // A NaN or infinity times 0 is NaN, and stays.
  for (int i = thread; i < kRows * kChunks; i += threads) {
    const auto* const chunk = reinterpret_cast<const __nv_bfloat162*>(
        tile + i / kChunks * kTileStride<kWidth> + i % kChunks * 8);
#pragma unroll
    for (int j = 0; j < 4; ++j) probe = __hfma2(chunk[j], zero, probe);
  }
  return __hisnan(probe.x) || __hisnan(probe.y);
}

/// 16 rows of a tile as left operands, kept in registers or read where they are needed.
template <int kWidth, bool kKept>
class LeftRows {
 public:
  /// `tile` points at the first of the 16 rows.
  __device__ explicit LeftRows(const Bf16* tile) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    address_ = shared_address(tile + lane % 16 * kTileStride<kWidth> + lane / 16 * 8);
    if constexpr (kKept) {
#pragma unroll
      for (int k = 0; k < kWidth / 16; ++k) load_matrices(kept_[k].pair, address_ + k * 32);
    }
  }

  __device__ LeftFragment operator[](int k) const {
    if constexpr (kKept) return kept_[k];
    LeftFragment read;
    load_matrices(read.pair, address_ + k * 32);
    return read;
  }

 private:
  std::uint32_t address_;
  LeftFragment kept_[kKept ? kWidth / 16 : 1];
};

/// sums = left * rows', rows the first kColumns of `tile`: column c of sums belongs to row c.
template <int kWidth, int kColumns, bool kKept>
__device__ void multiply_rows(float (&sums)[kColumns / 8][4], const LeftRows<kWidth, kKept>& left,
                              const Bf16* tile) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::uint32_t address =
      shared_address(tile + (lane % 8 + lane / 16 * 8) * kTileStride<kWidth> + lane / 8 % 2 * 8);
#pragma unroll
  for (auto& column : sums) {
#pragma unroll
    for (float& sum : column) sum = 0.0F;
  }
#pragma unroll
  for (int k = 0; k < kWidth / 16; ++k) {
    const LeftFragment a = left[k];
#pragma unroll
    for (int n = 0; n < kColumns / 16; ++n) {
      std::uint32_t right[4];
      load_matrices(right, address + (n * 16 * kTileStride<kWidth> + k * 16) * 2);
      mma(sums[2 * n], a, right[0], right[1]);
      mma(sums[2 * n + 1], a, right[2], right[3]);
    }
  }
}

/// Zero in place of infinities and NaNs.
__device__ inline std::uint32_t only_finite(std::uint32_t pair) {
  if ((pair & 0x7f80U) == 0x7f80U) pair &= 0xffff0000U;
  if ((pair & 0x7f800000U) == 0x7f800000U) pair &= 0x0000ffffU;
  return pair;
}

/// sums += left * rows, left of 16 x kRows and rows the first kRows of `tile`. kFiniteOnly leaves
/// out what is not finite.
template <int kWidth, int kRows, bool kFiniteOnly = false>
__device__ void multiply_columns(float (&sums)[kWidth / 8][4],
                                 const LeftFragment (&left)[kRows / 16], const Bf16* tile) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::uint32_t address =
      shared_address(tile + lane % 16 * kTileStride<kWidth> + lane / 16 * 8);
#pragma unroll
  for (int k = 0; k < kRows / 16; ++k) {
#pragma unroll
    for (int n = 0; n < kWidth / 16; ++n) {
      std::uint32_t right[4];
      load_transposed(right, address + (k * 16 * kTileStride<kWidth> + n * 16) * 2);
      if constexpr (kFiniteOnly) {
#pragma unroll
        for (std::uint32_t& pair : right) pair = only_finite(pair);
      }
      mma(sums[2 * n], left[k], right[0], right[1]);
      mma(sums[2 * n + 1], left[k], right[2], right[3]);
    }
  }
}

/// Writes two rows of an accumulator, those that are inside, times a factor each.
template <int kWidth>
__device__ void store_sums(const float (&sums)[kWidth / 8][4], const Rows<Bf16>& to, int width,
                           const int (&row)[2], int rows, const float (&factor)[2], bool vector) {
  const int first = static_cast<int>(threadIdx.x) % 4 * 2;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    if (row[half] >= rows) continue;
    Bf16* const line = to.row(row[half]);
#pragma unroll
    for (int n = 0; n < kWidth / 8; ++n) {
      const int column = 8 * n + first;
      const float low = sums[n][2 * half] * factor[half];
      const float high = sums[n][2 * half + 1] * factor[half];
      if (vector) {
        if (column < width) *reinterpret_cast<std::uint32_t*>(line + column) = pack(low, high);
      } else {
        if (column < width) store(line + column, low);
        if (column + 1 < width) store(line + column + 1, high);
      }
    }
  }
}

}  // namespace cajal::ops::cuda_attention
