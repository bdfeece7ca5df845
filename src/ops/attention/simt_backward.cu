#include <cmath>
#include <numbers>

#include "ops/attention/simt_tile.cuh"

namespace cajal::ops::cuda_attention {
namespace {

constexpr int kSharedBytes =
    (5 * kSimtTile + 2 * kTile) * static_cast<int>(sizeof(float)) + KeptTile::kBytes;

/// delta[head][token] = dout * out, a warp a row.
template <class T>
__global__ void delta_kernel(const __grid_constant__ BackwardProblem<T> problem, float* delta) {
  const Sizes& sizes = problem.sizes;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::int64_t row =
      std::int64_t{blockIdx.x} * (blockDim.x / 32) + static_cast<int>(threadIdx.x) / 32;
  if (row >= sizes.heads * sizes.tokens) return;
  const int head = static_cast<int>(row / sizes.tokens);
  const int token = static_cast<int>(row % sizes.tokens);
  const T* const out = rows_of(problem.out, sizes, head).row(token);
  const T* const dout = rows_of(problem.dout, sizes, head).row(token);
  float sum = 0.0F;
  for (int i = lane; i < sizes.width; i += 32) sum = fmaf(to_float(dout[i]), to_float(out[i]), sum);
#pragma unroll
  for (int other = 16; other > 0; other /= 2) sum += __shfl_xor_sync(kAllLanes, sum, other);
  if (lane == 0) delta[row] = sum;
}

/// What both roles need. A block has 64 rows of its role, keys or queries, and sees tiles of the
/// other pass by; it computes features [64 * chunk, + 64) of their gradients.
template <class T>
struct SimtBackward {
  const BackwardProblem<T>& problem;
  const Sizes& sizes;
  const float* delta;
  float scale;
  int head;
  int first_row;
  int out_chunk;
  SimtThread at;
  float* own;        ///< Queries, or keys.
  float* own_other;  ///< Gradients of out, or values.
  float* tile;       ///< Keys, or queries.
  float* tile_other;
  float* products;   ///< [row][column]: probabilities or gradients of scores.
  float* query_lse;  ///< To base 2, of the queries in hand.
  float* query_delta;
  KeptTile kept;

  __device__ SimtSource<T> source(const HeadRows<const T>& rows) const {
    return {rows_of(rows, sizes, head), sizes.tokens, sizes.width, problem.vector};
  }

  __device__ void read_numbers(int first_query) const {
    const int i = static_cast<int>(threadIdx.x);
    if (i >= kTile) return;
    const bool real = first_query + i < sizes.tokens;
    const std::int64_t row = std::int64_t{head} * sizes.tokens + first_query + i;
    query_lse[i] = real ? problem.lse[row] * std::numbers::log2e_v<float> : 0.0F;
    query_delta[i] = real ? delta[row] : 0.0F;
  }

  /// scores = own * tile', gradients = own_other * tile_other'. The chunk of features that the
  /// block computes comes last and stays in the tiles.
  __device__ void multiply(float (&scores)[4][4], float (&gradients)[4][4],
                           const HeadRows<const T> (&rows)[4], int first_tile, bool first) const {
    const int chunks = chunks_of(sizes.width);
    for (int i = 1; i <= chunks; ++i) {
      const int chunk = (out_chunk + i) % chunks;
      __syncthreads();  // Before the tiles are overwritten.
      if (chunks > 1 || first) {
        load_simt_tile(own, source(rows[0]), first_row, chunk);
        load_simt_tile(own_other, source(rows[1]), first_row, chunk);
      }
      load_simt_tile(tile, source(rows[2]), first_tile, chunk);
      load_simt_tile(tile_other, source(rows[3]), first_tile, chunk);
      __syncthreads();
      const int depth = depth_of(sizes.width, chunk);
      add_row_products(scores, own, tile, at, depth);
      add_row_products(gradients, own_other, tile_other, at, depth);
    }
  }

  /// Scores become probabilities after dropout, and gradients those of scores.
  __device__ void differentiate(float (&scores)[4][4], float (&gradients)[4][4], int first_query,
                                int first_key, bool rows_are_keys) const {
    const bool dropout = problem.dropout.seed != nullptr;
    if (dropout) {
      kept.draw(DropoutBits(problem.dropout, head, sizes.tokens), first_query, first_key);
      __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int query = rows_are_keys ? at.column(j) : at.row(i);
        const int key = rows_are_keys ? at.row(i) : at.column(j);
        const bool visible = first_key + key <= first_query + query;
        const float exponent =
            fmaf(scores[i][j], scale * std::numbers::log2e_v<float>, -query_lse[query]);
        const float p = visible ? exp2_fast(exponent) : 0.0F;
        float factor = 1.0F;
        if (dropout) factor = kept(query, key) ? problem.dropout.kept : 0.0F;
        scores[i][j] = p * factor;
        gradients[i][j] = p * (gradients[i][j] * factor - query_delta[query]);
      }
    }
  }

  /// sums += products * rows.
  __device__ void add(float (&sums)[4][4], const float (&left)[4][4], const float* rows) const {
    __syncthreads();  // The last product has been read.
    put_columns(products, left, at);
    __syncthreads();
    add_products(sums, products, rows, at);
  }

  __device__ void write(const HeadRows<T>& to, const float (&sums)[4][4], float factor) const {
    store_rows(rows_of(to, sizes, head), sums, at, first_row, out_chunk, sizes,
               {factor, factor, factor, factor});
  }

  __device__ void run_keys() const {
    float dk[4][4] = {};
    float dv[4][4] = {};
    for (int query = first_row; query < sizes.tokens; query += kTile) {
      float scores[4][4] = {};
      float gradients[4][4] = {};
      __syncthreads();  // The last numbers have been read.
      read_numbers(query);
      multiply(scores, gradients, {problem.k, problem.v, problem.q, problem.dout}, query,
               query == first_row);
      differentiate(scores, gradients, query, first_row, true);
      add(dv, scores, tile_other);
      add(dk, gradients, tile);
    }
    write(problem.dk, dk, scale);
    write(problem.dv, dv, 1.0F);
  }

  __device__ void run_queries() const {
    float dq[4][4] = {};
    read_numbers(first_row);
    for (int key = 0; key <= first_row; key += kTile) {
      float scores[4][4] = {};
      float gradients[4][4] = {};
      multiply(scores, gradients, {problem.q, problem.dout, problem.k, problem.v}, key, key == 0);
      differentiate(scores, gradients, first_row, key, false);
      add(dq, gradients, tile);
    }
    write(problem.dq, dq, scale);
  }
};

template <class T>
__global__ void __launch_bounds__(kSimtThreads)
    simt_backward_kernel(const __grid_constant__ BackwardProblem<T> problem, const float* delta,
                         float scale) {
  extern __shared__ float4 memory[];
  auto* const floats = reinterpret_cast<float*>(memory);
  const Sizes& sizes = problem.sizes;
  const int heads = static_cast<int>(sizes.heads);
  const int chunks = chunks_of(sizes.width);
  const int blocks = (sizes.tokens + kTile - 1) / kTile;
  const int turn = static_cast<int>(blockIdx.x) / heads;
  const bool keys = turn % 2 == 0;
  const int rank = turn / 2 / chunks;  // Blocks with the most tiles start first.
  float* const numbers = floats + 5 * kSimtTile;
  const SimtBackward<T> block{problem,
                              sizes,
                              delta,
                              scale,
                              static_cast<int>(blockIdx.x) % heads,
                              (keys ? rank : blocks - 1 - rank) * kTile,
                              turn / 2 % chunks,
                              {},
                              floats,
                              floats + kSimtTile,
                              floats + 2 * kSimtTile,
                              floats + 3 * kSimtTile,
                              floats + 4 * kSimtTile,
                              numbers,
                              numbers + kTile,
                              KeptTile(reinterpret_cast<std::uint8_t*>(numbers + 2 * kTile))};
  if (keys) {
    block.run_keys();
  } else {
    block.run_queries();
  }
}

}  // namespace

template <class T>
void simt_backward(CudaContext& context, const BackwardProblem<T>& problem) {
  const Sizes& sizes = problem.sizes;
  const std::int64_t rows = sizes.heads * sizes.tokens;
  auto* const delta = reinterpret_cast<float*>(
      context.scratch(static_cast<std::size_t>(rows) * sizeof(float)).data());
  constexpr int kDeltaRows = kSimtThreads / 32;
  delta_kernel<<<static_cast<unsigned>((rows + kDeltaRows - 1) / kDeltaRows), kSimtThreads, 0,
                 context.stream()>>>(problem, delta);
  check_cuda(cudaGetLastError(), "attention_backward");

  const auto kernel = simt_backward_kernel<T>;
  check_cuda(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes),
      "cudaFuncSetAttribute");
  const std::int64_t blocks = (sizes.tokens + kTile - 1) / kTile;
  const std::int64_t chunks = (sizes.width + kFeatures - 1) / kFeatures;
  const float scale = 1.0F / std::sqrt(static_cast<float>(sizes.width));
  kernel<<<static_cast<unsigned>(2 * blocks * chunks * sizes.heads), kSimtThreads, kSharedBytes,
           context.stream()>>>(problem, delta, scale);
  check_cuda(cudaGetLastError(), "attention_backward");
}

template void simt_backward(CudaContext&, const BackwardProblem<float>&);
template void simt_backward(CudaContext&, const BackwardProblem<__nv_bfloat16>&);

}  // namespace cajal::ops::cuda_attention
