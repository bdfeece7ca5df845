#include <cmath>
#include <numbers>

#include "ops/attention/cuda_device.cuh"
#include "runtime/cuda/kernel_fault.cuh"

namespace cajal::ops::cuda_attention {
namespace {

/// Features that a lane holds: 16 bytes.
template <class T>
inline constexpr int kLaneFeatures = 16 / sizeof(T);

constexpr int kWarps = 8;
constexpr int kThreads = 32 * kWarps;
constexpr int kKeysAhead = 4;  ///< Keys of a lane whose rows are on their way together.

template <class T>
struct LaneRow {
  float x[kLaneFeatures<T>];
};

__device__ inline void widen(float (&to)[4], const uint4& from) {
  to[0] = __uint_as_float(from.x);
  to[1] = __uint_as_float(from.y);
  to[2] = __uint_as_float(from.z);
  to[3] = __uint_as_float(from.w);
}
__device__ inline void widen(float (&to)[8], const uint4& from) {
  const std::uint32_t pairs[4] = {from.x, from.y, from.z, from.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    to[2 * i] = __uint_as_float(pairs[i] << 16);
    to[2 * i + 1] = __uint_as_float(pairs[i] & 0xffff0000U);
  }
}

/// Features from `first` on, zeros beyond the width.
template <class T>
__device__ LaneRow<T> read_row(const T* row, int first, int width, bool vector) {
  LaneRow<T> read{};
  if (first >= width) return read;
  if (vector) {
    widen(read.x, *reinterpret_cast<const uint4*>(row + first));
    return read;
  }
#pragma unroll
  for (int i = 0; i < kLaneFeatures<T>; ++i) {
    if (first + i < width) read.x[i] = to_float(row[first + i]);
  }
  return read;
}

/// Softmax and values over the keys that a group of lanes has seen; each lane has its features.
template <class T>
struct LaneSums {
  float max;
  float sum;
  LaneRow<T> out;

  __device__ static LaneSums none() { return {minus_infinity(), 0.0F, {}}; }

  __device__ void add(float score, const LaneRow<T>& value) {
    const float larger = fmaxf(max, score);
    const float shift = finite_shift(larger);
    const float correction = exp2_fast(max - shift);
    const float p = exp2_fast(score - shift);
    max = larger;
    sum = sum * correction + p;
#pragma unroll
    for (int i = 0; i < kLaneFeatures<T>; ++i) {
      out.x[i] = fmaf(p, value.x[i], out.x[i] * correction);
    }
  }

  __device__ void merge(const LaneSums& other) {
    const float larger = fmaxf(max, other.max);
    const float shift = finite_shift(larger);
    const float mine = exp2_fast(max - shift);
    const float theirs = exp2_fast(other.max - shift);
    max = larger;
    sum = sum * mine + other.sum * theirs;
#pragma unroll
    for (int i = 0; i < kLaneFeatures<T>; ++i) {
      out.x[i] = out.x[i] * mine + other.out.x[i] * theirs;
    }
  }

  __device__ LaneSums from_lane(int distance) const {
    LaneSums other;
    other.max = __shfl_xor_sync(kAllLanes, max, distance);
    other.sum = __shfl_xor_sync(kAllLanes, sum, distance);
#pragma unroll
    for (int i = 0; i < kLaneFeatures<T>; ++i) {
      other.out.x[i] = __shfl_xor_sync(kAllLanes, out.x[i], distance);
    }
    return other;
  }
};

/// False, and the fault reported once, when the new tokens do not fit.
template <class T>
__device__ bool fits(const CacheProblem<T>& problem, int position) {
  if (position >= 0 && position <= problem.capacity - problem.sizes.tokens) return true;
  if (blockIdx.x == 0 && threadIdx.x == 0) raise_fault(problem.fault, 0, position);
  return false;
}

/// Rows of keys or values: those of the cache, then the new ones where they came from.
template <class T>
struct AllRows {
  Rows<T> cached;
  Rows<const T> fresh;
  int position;

  __device__ const T* row(int key) const {
    return key < position ? cached.row(key) : fresh.row(key - position);
  }
};

/// A block attends from one query of one head; its lanes stand in groups of `lanes` that take keys
/// in turn.
template <class T>
__global__ void __launch_bounds__(kThreads)
    decode_kernel(const __grid_constant__ CacheProblem<T> problem, int lanes, float scale) {
  __shared__ LaneSums<T> partial[kWarps][32];
  const Sizes& sizes = problem.sizes;
  const int position = *problem.position;
  if (!fits(problem, position)) return;
  const int head = static_cast<int>(blockIdx.x) / sizes.tokens;
  const int token = static_cast<int>(blockIdx.x) % sizes.tokens;
  const AllRows<T> k{rows_of(problem.k_cache, sizes, head), rows_of(problem.k, sizes, head),
                     position};
  const AllRows<T> v{rows_of(problem.v_cache, sizes, head), rows_of(problem.v, sizes, head),
                     position};
  for (int i = static_cast<int>(threadIdx.x); i < sizes.width; i += kThreads) {
    k.cached.row(position + token)[i] = k.fresh.row(token)[i];
    v.cached.row(position + token)[i] = v.fresh.row(token)[i];
  }

  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int first = lane % lanes * kLaneFeatures<T>;
  const int groups = kThreads / lanes;
  const int group = static_cast<int>(threadIdx.x) / lanes;
  const int keys = position + token + 1;
  LaneRow<T> q =
      read_row(rows_of(problem.q, sizes, head).row(token), first, sizes.width, problem.vector);
  LaneSums<T> sums = LaneSums<T>::none();
  for (int base = 0; base < keys; base += kKeysAhead * groups) {
    LaneRow<T> key_row[kKeysAhead]{};
    LaneRow<T> value_row[kKeysAhead]{};
#pragma unroll
    for (int i = 0; i < kKeysAhead; ++i) {
      const int key = base + i * groups + group;
      if (key >= keys) continue;
      key_row[i] = read_row(k.row(key), first, sizes.width, problem.vector);
      value_row[i] = read_row(v.row(key), first, sizes.width, problem.vector);
    }
#pragma unroll
    for (int i = 0; i < kKeysAhead; ++i) {
      float score = 0.0F;
#pragma unroll
      for (int j = 0; j < kLaneFeatures<T>; ++j) {
        score = fmaf(q.x[j], key_row[i].x[j], score);
      }
      for (int other = lanes / 2; other > 0; other /= 2) {
        score += __shfl_xor_sync(kAllLanes, score, other);
      }
      if (base + i * groups + group < keys) sums.add(score * scale, value_row[i]);
    }
  }

  for (int distance = lanes; distance < 32; distance *= 2) sums.merge(sums.from_lane(distance));
  partial[warp][lane] = sums;
  __syncthreads();
  if (warp > 0) return;
  for (int other = 1; other < kWarps; ++other) sums.merge(partial[other][lane]);
  if (lane >= lanes) return;
  T* const out = rows_of(problem.out, sizes, head).row(token);
#pragma unroll
  for (int i = 0; i < kLaneFeatures<T>; ++i) {
    if (first + i < sizes.width) store(out + first + i, sums.out.x[i] / sums.sum);
  }
}

template <class T>
__global__ void append_kernel(const __grid_constant__ CacheProblem<T> problem) {
  const Sizes& sizes = problem.sizes;
  const int position = *problem.position;
  if (!fits(problem, position)) return;
  const int batch = static_cast<int>(blockIdx.x) / sizes.tokens;
  const int token = static_cast<int>(blockIdx.x) % sizes.tokens;
  const int channels = sizes.heads_a_sequence * sizes.width;
  const auto copy = [&](const HeadRows<const T>& from, const HeadRows<T>& to) {
    const T* const source = from.data + batch * from.batch_stride + token * from.token_stride;
    T* const target = to.data + batch * to.batch_stride + (position + token) * to.token_stride;
    if (problem.vector) {
      for (int i = static_cast<int>(threadIdx.x); i < channels / kLaneFeatures<T>;
           i += static_cast<int>(blockDim.x)) {
        reinterpret_cast<uint4*>(target)[i] = reinterpret_cast<const uint4*>(source)[i];
      }
    } else {
      for (int i = static_cast<int>(threadIdx.x); i < channels; i += static_cast<int>(blockDim.x)) {
        target[i] = source[i];
      }
    }
  };
  copy(problem.k, problem.k_cache);
  copy(problem.v, problem.v_cache);
}

}  // namespace

template <class T>
bool decodes(int width) {
  return width <= 32 * kLaneFeatures<T>;
}

template <class T>
void cache_decode(CudaContext& context, const CacheProblem<T>& problem) {
  const Sizes& sizes = problem.sizes;
  int lanes = 1;
  while (lanes * kLaneFeatures<T> < sizes.width) lanes *= 2;
  const float scale = std::numbers::log2e_v<float> / std::sqrt(static_cast<float>(sizes.width));
  decode_kernel<T>
      <<<static_cast<unsigned>(sizes.heads * sizes.tokens), kThreads, 0, context.stream()>>>(
          problem, lanes, scale);
  check_cuda(cudaGetLastError(), "cached_attention");
}

template <class T>
void cache_append(CudaContext& context, const CacheProblem<T>& problem) {
  constexpr unsigned kCopyThreads = 128;
  const Sizes& sizes = problem.sizes;
  const std::int64_t rows = sizes.heads / sizes.heads_a_sequence * sizes.tokens;
  append_kernel<T><<<static_cast<unsigned>(rows), kCopyThreads, 0, context.stream()>>>(problem);
  check_cuda(cudaGetLastError(), "cached_attention");
}

template bool decodes<float>(int);
template bool decodes<__nv_bfloat16>(int);
template void cache_decode(CudaContext&, const CacheProblem<float>&);
template void cache_decode(CudaContext&, const CacheProblem<__nv_bfloat16>&);
template void cache_append(CudaContext&, const CacheProblem<float>&);
template void cache_append(CudaContext&, const CacheProblem<__nv_bfloat16>&);

}  // namespace cajal::ops::cuda_attention
