// Tiles of a head's rows in shared memory in f32, and their products in plain FP32 arithmetic.
//
// 256 threads stand in 16 x 16: thread (y, x) holds rows 4 y + i of a 64 x 64 result, and its
// columns x + 16 j (scores: a row of B each) or 4 x + j (features).
#pragma once

#include "ops/attention/cuda_device.cuh"

namespace cajal::ops::cuda_attention {

inline constexpr int kSimtThreads = 256;
inline constexpr int kFeatures = 64;               ///< Of a head, at a time.
inline constexpr int kSimtStride = kFeatures + 4;  ///< Keeps rows 16-byte aligned, in other banks.
inline constexpr int kSimtTile = kTile * kSimtStride;

struct SimtThread {
  int x = static_cast<int>(threadIdx.x) % 16;
  int y = static_cast<int>(threadIdx.x) / 16;

  __device__ int row(int i) const { return 4 * y + i; }
  __device__ int column(int j) const { return x + 16 * j; }
  __device__ int feature(int j) const { return 4 * x + j; }
};

/// The rows of a head that a tile is filled from.
template <class T>
struct SimtSource {
  Rows<const T> rows;
  int count;    ///< Rows that exist.
  int width;    ///< Features that exist.
  bool vector;  ///< Rows start at multiples of 16 bytes, and the width is one.
};

__device__ inline float4 load_four(const float* from) {
  return *reinterpret_cast<const float4*>(from);
}
__device__ inline float4 load_four(const __nv_bfloat16* from) {
  const uint2 pairs = *reinterpret_cast<const uint2*>(from);
  return {__uint_as_float(pairs.x << 16), __uint_as_float(pairs.x & 0xffff0000U),
          __uint_as_float(pairs.y << 16), __uint_as_float(pairs.y & 0xffff0000U)};
}

template <class T>
__device__ float feature_or_zero(const SimtSource<T>& source, int row, int feature) {
  return feature < source.width ? to_float(source.rows.row(row)[feature]) : 0.0F;
}

/// Rows [first, first + 64) and features [kFeatures * chunk, + kFeatures), zeros where there are
/// none. True when this thread met a number that is not finite.
template <class T>
__device__ bool load_simt_tile(float* tile, const SimtSource<T>& source, int first, int chunk) {
  bool not_finite = false;
  for (int i = static_cast<int>(threadIdx.x); i < kTile * kFeatures / 4; i += kSimtThreads) {
    const int row = i / (kFeatures / 4);
    const int column = i % (kFeatures / 4) * 4;
    const int feature = chunk * kFeatures + column;
    float4 four{};
    if (first + row < source.count && feature < source.width) {
      if (source.vector) {
        four = load_four(source.rows.row(first + row) + feature);
      } else {
        four.x = feature_or_zero(source, first + row, feature);
        four.y = feature_or_zero(source, first + row, feature + 1);
        four.z = feature_or_zero(source, first + row, feature + 2);
        four.w = feature_or_zero(source, first + row, feature + 3);
      }
    }
    // A NaN or infinity times 0 is NaN.
    not_finite |= isnan(0.0F * four.x + 0.0F * four.y + 0.0F * four.z + 0.0F * four.w);
    *reinterpret_cast<float4*>(tile + row * kSimtStride + column) = four;
  }
  return not_finite;
}

__device__ inline int chunks_of(int width) { return (width + kFeatures - 1) / kFeatures; }

/// Features of a chunk, rounded up to what products step by.
__device__ inline int depth_of(int width, int chunk) {
  return min(kFeatures, (width - chunk * kFeatures + 3) / 4 * 4);
}

/// sums[i][j] += row 4 y + i of a times row x + 16 j of b.
__device__ inline void add_row_products(float (&sums)[4][4], const float* a, const float* b,
                                        const SimtThread& at, int depth) {
#pragma unroll 4
  for (int k = 0; k < depth; k += 4) {
    float4 left[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) left[i] = load_four(a + at.row(i) * kSimtStride + k);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float4 right = load_four(b + at.column(j) * kSimtStride + k);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        sums[i][j] = fmaf(left[i].x, right.x, sums[i][j]);
        sums[i][j] = fmaf(left[i].y, right.y, sums[i][j]);
        sums[i][j] = fmaf(left[i].z, right.z, sums[i][j]);
        sums[i][j] = fmaf(left[i].w, right.w, sums[i][j]);
      }
    }
  }
}

/// sums[i][j] += sum over k of a[4 y + i][k] * b[k][4 x + j]. With kCareful, row i takes only the
/// k up to last[i].
template <bool kCareful = false>
__device__ void add_products(float (&sums)[4][4], const float* a, const float* b,
                             const SimtThread& at, const int (&last)[4] = {}) {
#pragma unroll 2
  for (int k = 0; k < kTile; k += 4) {
    float4 left[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) left[i] = load_four(a + at.row(i) * kSimtStride + k);
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      const float4 right = load_four(b + (k + step) * kSimtStride + at.feature(0));
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        if (kCareful && k + step > last[i]) continue;
        const float factor = step == 0   ? left[i].x
                             : step == 1 ? left[i].y
                             : step == 2 ? left[i].z
                                         : left[i].w;
        sums[i][0] = fmaf(factor, right.x, sums[i][0]);
        sums[i][1] = fmaf(factor, right.y, sums[i][1]);
        sums[i][2] = fmaf(factor, right.z, sums[i][2]);
        sums[i][3] = fmaf(factor, right.w, sums[i][3]);
      }
    }
  }
}

/// Writes sums[i][j] to [4 y + i][x + 16 j] of a tile.
__device__ inline void put_columns(float* tile, const float (&sums)[4][4], const SimtThread& at) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) tile[at.row(i) * kSimtStride + at.column(j)] = sums[i][j];
  }
}

/// Writes row i, times factor[i], to row first + 4 y + i of a head, where it and its features
/// exist.
template <class T>
__device__ void store_rows(const Rows<T>& to, const float (&sums)[4][4], const SimtThread& at,
                           int first, int chunk, const Sizes& sizes, const float (&factor)[4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int row = first + at.row(i);
    if (row >= sizes.tokens) continue;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int feature = chunk * kFeatures + at.feature(j);
      if (feature < sizes.width) store(to.row(row) + feature, sums[i][j] * factor[i]);
    }
  }
}

/// Which probabilities of 64 queries and 64 keys are kept: four keys a byte, [query][key / 4].
class KeptTile {
 public:
  static constexpr int kBytes = kTile * kTile / 4;

  __device__ explicit KeptTile(std::uint8_t* bits) : bits_(bits) {}

  __device__ void draw(const DropoutBits& random, int first_query, int first_key) const {
    for (int i = static_cast<int>(threadIdx.x); i < kBytes; i += kSimtThreads) {
      const int query = first_query + i / (kTile / 4);
      const int group = first_key / 4 + i % (kTile / 4);
      bits_[i] = static_cast<std::uint8_t>(random.four_keys(query, group));
    }
  }

  __device__ bool operator()(int query, int key) const {
    return ((bits_[query * (kTile / 4) + key / 4] >> (key % 4)) & 1) != 0;
  }

 private:
  std::uint8_t* bits_;
};

}  // namespace cajal::ops::cuda_attention
