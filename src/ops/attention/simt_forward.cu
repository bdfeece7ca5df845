#include <cmath>
#include <numbers>

#include "ops/attention/simt_tile.cuh"

namespace cajal::ops::cuda_attention {
namespace {

constexpr int kSharedBytes = 4 * kSimtTile * static_cast<int>(sizeof(float)) + KeptTile::kBytes;

/// Online softmax of rows 4 y + i, of which 16 threads hold the columns.
struct SimtSoftmax {
  float scale;
  float max[4];
  float sum[4];

  __device__ explicit SimtSoftmax(float to_exponent) : scale(to_exponent), sum{} {
    for (float& m : max) m = minus_infinity();
  }

  /// Scores become probabilities; out follows the maximum.
  __device__ void add(float (&scores)[4][4], float (&out)[4][4]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float larger = max[i];
#pragma unroll
      for (const float s : scores[i]) larger = fmaxf(larger, s);
#pragma unroll
      for (int lane = 1; lane < 16; lane *= 2) {
        larger = fmaxf(larger, __shfl_xor_sync(kAllLanes, larger, lane));
      }
      const float shift = finite_shift(larger) * scale;
      const float correction = exp2_fast(max[i] * scale - shift);
      max[i] = larger;
      float added = 0.0F;
#pragma unroll
      for (float& s : scores[i]) added += s = exp2_fast(fmaf(s, scale, -shift));
      sum[i] = sum[i] * correction + added;
#pragma unroll
      for (float& x : out[i]) x *= correction;
    }
  }

  __device__ float total(int i) const {
    float all = sum[i];
#pragma unroll
    for (int lane = 1; lane < 16; lane *= 2) all += __shfl_xor_sync(kAllLanes, all, lane);
    return all;
  }
};

/// A block computes features [64 * chunk, + 64) of 64 queries' output.
template <class T>
__global__ void __launch_bounds__(kSimtThreads)
    simt_forward_kernel(const __grid_constant__ ForwardProblem<T> problem, float scale) {
  extern __shared__ float4 memory[];
  auto* const queries = reinterpret_cast<float*>(memory);
  float* const keys = queries + kSimtTile;
  float* const values = keys + kSimtTile;
  float* const probabilities = values + kSimtTile;
  const KeptTile kept(reinterpret_cast<std::uint8_t*>(probabilities + kSimtTile));

  const Sizes& sizes = problem.sizes;
  const int heads = static_cast<int>(sizes.heads);
  const int chunks = chunks_of(sizes.width);
  const int turn = static_cast<int>(gridDim.x - 1 - blockIdx.x);
  const int head = turn % heads;
  const int out_chunk = turn / heads % chunks;
  const int first_query = turn / heads / chunks * kTile;
  const int position = first_position(problem);
  if (position < 0) return;

  const SimtThread at;
  const int seen = position + min(first_query + kTile, sizes.tokens);
  const SimtSource<T> q{rows_of(problem.q, sizes, head), sizes.tokens, sizes.width, problem.vector};
  const SimtSource<T> k{rows_of(problem.k, sizes, head), seen, sizes.width, problem.vector};
  const SimtSource<T> v{rows_of(problem.v, sizes, head), seen, sizes.width, problem.vector};
  SimtSoftmax softmax(scale);
  float out[4][4] = {};
  for (int first_key = 0; first_key < seen; first_key += kTile) {
    float scores[4][4] = {};
    bool not_finite = false;
    for (int chunk = 0; chunk < chunks; ++chunk) {
      __syncthreads();  // Before the tiles are overwritten.
      if (chunks > 1 || first_key == 0) load_simt_tile(queries, q, first_query, chunk);
      load_simt_tile(keys, k, first_key, chunk);
      if (chunk == 0) not_finite = load_simt_tile(values, v, first_key, out_chunk);
      __syncthreads();
      add_row_products(scores, queries, keys, at, depth_of(sizes.width, chunk));
    }

    int last[4];  // Keys that rows see, counted from first_key.
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      last[i] = position + first_query + at.row(i) - first_key;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        if (at.column(j) > last[i]) scores[i][j] = minus_infinity();
      }
    }
    softmax.add(scores, out);
    if (problem.dropout.seed != nullptr) {
      kept.draw(DropoutBits(problem.dropout, head, sizes.tokens), first_query, first_key);
      __syncthreads();
#pragma unroll
      for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          if (!kept(at.row(i), at.column(j))) scores[i][j] = 0.0F;
        }
      }
    }
    put_columns(probabilities, scores, at);
    // A value that is not finite must not reach queries that do not see it.
    if (__syncthreads_or(not_finite ? 1 : 0) != 0) {
      add_products<true>(out, probabilities, values, at, last);
    } else {
      add_products(out, probabilities, values, at);
    }
  }

  float factor[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float sum = softmax.total(i);
    factor[i] = problem.dropout.kept / sum;
    const int row = first_query + at.row(i);
    if (problem.lse != nullptr && out_chunk == 0 && at.x == 0 && row < sizes.tokens) {
      problem.lse[std::int64_t{head} * sizes.tokens + row] =
          softmax.max[i] * scale * std::numbers::ln2_v<float> + logf(sum);
    }
  }
  store_rows(rows_of(problem.out, sizes, head), out, at, first_query, out_chunk, sizes, factor);
}

}  // namespace

template <class T>
void simt_forward(CudaContext& context, const ForwardProblem<T>& problem) {
  const auto kernel = simt_forward_kernel<T>;
  check_cuda(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes),
      "cudaFuncSetAttribute");
  const Sizes& sizes = problem.sizes;
  const std::int64_t blocks = (sizes.tokens + kTile - 1) / kTile;
  const std::int64_t chunks = (sizes.width + kFeatures - 1) / kFeatures;
  const float scale = std::numbers::log2e_v<float> / std::sqrt(static_cast<float>(sizes.width));
  kernel<<<static_cast<unsigned>(blocks * chunks * sizes.heads), kSimtThreads, kSharedBytes,
           context.stream()>>>(problem, scale);
  check_cuda(cudaGetLastError(), "attention");
}

template void simt_forward(CudaContext&, const ForwardProblem<float>&);
template void simt_forward(CudaContext&, const ForwardProblem<__nv_bfloat16>&);

}  // namespace cajal::ops::cuda_attention
