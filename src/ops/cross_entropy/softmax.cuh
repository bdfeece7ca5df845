// Softmax of a row of logits as one block goes through it.
#pragma once

#include <limits>
#include <type_traits>

#include "ops/cuda_kernel.cuh"

namespace cajal::ops::cuda_backend {
namespace {

template <class T>
struct Rows {
  const T* logits;
  T* dlogits;  ///< Null: loss only. May be logits.
  const std::int32_t* targets;
  const float* scale;
  float* losses;  ///< Of each row, not yet scaled.
  KernelFault* fault;
  std::int64_t rows;
  std::int64_t columns;
  int vocab;
  bool packed;  ///< Rows are whole packs, aligned.
};

/// e^(x - largest): in full for f32, to what bf16 can show for bf16.
template <class T>
class ExponentialBelow {
 public:
  __device__ explicit ExponentialBelow(float largest)
      : offset_(kInFull ? largest : largest * kLog2E) {}
  __device__ float operator()(float x) const {
    if constexpr (kInFull) {
      return expf(x - offset_);
    } else {
      float y;
      asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(fmaf(x, kLog2E, -offset_)));
      return y;
    }
  }

 private:
  static constexpr bool kInFull = std::is_same_v<T, float>;
  static constexpr float kLog2E = 1.44269504F;
  float offset_;
};

// A finite start, also when multiplied by log2(e): from it minus infinity is an ordinary logit, of
// probability 0.
constexpr float kLowest = -2e38F;

/// The largest element so far and the sum of e^(x - largest), rescaled when a larger one comes
/// (Milakov and Gimelshein 2018): the exponentials hide behind the loads.
template <class T>
struct OnlineSoftmax {
  float largest = kLowest;
  float sum = 0.0F;

  __device__ void add(const Pack<T>& pack) {
    float x[kLanes<T>];
    pack.unpack(x);
    float most = x[0];
#pragma unroll
    for (int i = 1; i < kLanes<T>; ++i) most = fmaxf(most, x[i]);
    if (most > largest) {
      sum *= ExponentialBelow<T>(most)(largest);
      largest = most;
    }
    const ExponentialBelow<T> exponential(largest);
#pragma unroll
    for (const float logit : x) sum += exponential(logit);
  }

  /// Of the whole block.
  __device__ void combine() {
    const float most = block_max(largest, kLowest);
    sum = block_sum(sum * ExponentialBelow<T>(most)(largest));
    largest = most;
  }
};

/// Columns from the vocabulary's end on are minus infinity.
template <class T>
__device__ Pack<T> load_logits(const Rows<T>& a, const T* row, int column) {
  if (a.packed && column + kLanes<T> <= a.vocab) {
    return load_pack<T, kLanes<T>, Cached::stream>(row + column);
  }
  float x[kLanes<T>];
#pragma unroll
  for (int i = 0; i < kLanes<T>; ++i) {
    x[i] =
        column + i < a.vocab ? to_float(row[column + i]) : -std::numeric_limits<float>::infinity();
  }
  return Pack<T>::of(x);
}

// Two blocks of bf16 rows share a multiprocessor: while one reads, the other writes.
template <class T>
constexpr int kMostThreads = std::is_same_v<T, float> ? 1024 : 512;

}  // namespace
}  // namespace cajal::ops::cuda_backend
