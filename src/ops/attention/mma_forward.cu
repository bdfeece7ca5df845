#include <cmath>

#include "ops/attention/mma_forward.cuh"

namespace cajal::ops::cuda_attention {
namespace {

/// A block has kRowWarps * 16 queries and kSplits groups of warps, which share the keys out among
/// themselves and add their results up at the end.
template <int kWidth_, int kRowWarps, int kSplits_, bool kDropout_>
struct Shape {
  static constexpr int kWidth = kWidth_;
  static constexpr int kSplits = kSplits_;
  static constexpr bool kDropout = kDropout_;
  static constexpr int kRows = 16 * kRowWarps;
  static constexpr int kGroupThreads = 32 * kRowWarps;
  static constexpr int kThreads = kGroupThreads * kSplits;
  static constexpr int kStage = 2 * kTileElements<kWidth>;  ///< Keys and values.
  static constexpr int kBytes =
      (kTileElements<kWidth, kRows> + kSplits * 2 * kStage) * static_cast<int>(sizeof(Bf16));
  static_assert(WarpForward<kWidth>::kFloats * kGroupThreads * sizeof(float) <=
                2 * kStage * sizeof(Bf16));
};

template <class S>
__global__ void __launch_bounds__(S::kThreads, 1)
    mma_forward_kernel(const __grid_constant__ ForwardProblem<Bf16> problem, float scale) {
  constexpr int kWidth = S::kWidth;
  extern __shared__ uint4 memory[];
  const Sizes& sizes = problem.sizes;
  const int heads = static_cast<int>(sizes.heads);
  const int head = static_cast<int>(blockIdx.x) % heads;
  // Late queries see the most keys: they start first.
  const int block = static_cast<int>(gridDim.x - 1 - blockIdx.x) / heads;
  const int position = first_position(problem);
  if (position < 0) return;

  const int split = static_cast<int>(threadIdx.x) / S::kGroupThreads;
  const int thread = static_cast<int>(threadIdx.x) % S::kGroupThreads;
  const Group<S::kSplits> group(split, S::kGroupThreads);
  Bf16* const queries = reinterpret_cast<Bf16*>(memory);
  Bf16* const stages = queries + kTileElements<kWidth, S::kRows> + split * 2 * S::kStage;

  const int first_query = block * S::kRows;
  const int keys = position + sizes.tokens;
  const int tiles = (min(position + first_query + S::kRows, keys) + kTile - 1) / kTile;
  const TileSource k{rows_of(problem.k, sizes, head), keys, sizes.width, problem.vector};
  const TileSource v{rows_of(problem.v, sizes, head), keys, sizes.width, problem.vector};
  const auto load = [&](int tile, int stage) {
    Bf16* const to = stages + stage * S::kStage;
    load_tile<kWidth>(to, k, tile * kTile, thread, S::kGroupThreads);
    load_tile<kWidth>(to + kTileElements<kWidth>, v, tile * kTile, thread, S::kGroupThreads);
  };
  load_tile<kWidth, S::kRows>(
      queries, {rows_of(problem.q, sizes, head), sizes.tokens, sizes.width, problem.vector},
      first_query, static_cast<int>(threadIdx.x), S::kThreads);
  commit_copies();
  if (split < tiles) load(split, 0);
  commit_copies();
  wait_copies<1>();
  __syncthreads();

  const int first_row = thread / 32 * 16;
  const LeftRows<kWidth, true> q(queries + first_row * kTileStride<kWidth>);
  const int upper = first_query + first_row + thread % 32 / 4;
  const int row[2] = {upper, upper + 8};
  WarpForward<kWidth> warp(scale, position + row[0], position + row[1]);
  int stage = 0;
  for (int tile = split; tile < tiles; tile += S::kSplits) {
    if (tile + S::kSplits < tiles) load(tile + S::kSplits, stage ^ 1);
    commit_copies();
    wait_copies<1>();
    const Bf16* const tile_keys = stages + stage * S::kStage;
    const Bf16* const tile_values = tile_keys + kTileElements<kWidth>;
    const int first_key = tile * kTile;
    const bool masked = first_key + kTile - 1 > position + first_query;
    bool careful = false;
    if (masked) {
      careful = group.sync_or(not_all_finite<kWidth>(tile_values, thread, S::kGroupThreads));
    } else {
      group.sync();
    }

    float scores[kTile / 8][4];
    multiply_rows<kWidth, kTile>(scores, q, tile_keys);
    warp.add_scores(scores, first_key, masked);
    if constexpr (S::kDropout) {
      const DropoutBits random(problem.dropout, head, sizes.tokens);
      const QueryRowBits<kTile / 8> bits(random, row[0], row[1], first_key);
#pragma unroll
      for (int n = 0; n < kTile / 8; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) scores[n][i] = bits.kept(n, i) ? scores[n][i] : 0.0F;
      }
    }
    warp.add_values(scores, tile_values, first_key, careful);
    group.sync();  // Before the next copies go where this tile lies.
    stage ^= 1;
  }

  if constexpr (S::kSplits > 1) {
    if (split > 0) warp.put(reinterpret_cast<float*>(stages), thread, S::kGroupThreads);
    __syncthreads();
    if (split > 0) return;
#pragma unroll 1
    for (int other = 1; other < S::kSplits; ++other) {
      warp.merge(reinterpret_cast<const float*>(stages + other * 2 * S::kStage), thread,
                 S::kGroupThreads);
    }
  }
  float* const lse =
      problem.lse == nullptr ? nullptr : problem.lse + std::int64_t{head} * sizes.tokens;
  warp.finish(rows_of(problem.out, sizes, head), lse, sizes, row, problem.dropout.kept,
              problem.vector);
}

template <class S>
bool launch(CudaContext& context, const ForwardProblem<Bf16>& problem) {
  if (S::kBytes > context.device().shared_bytes_per_block) return false;
  const auto kernel = mma_forward_kernel<S>;
  check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, S::kBytes),
             "cudaFuncSetAttribute");
  const std::int64_t blocks = (problem.sizes.tokens + S::kRows - 1) / S::kRows;
  const float scale =
      std::numbers::log2e_v<float> / std::sqrt(static_cast<float>(problem.sizes.width));
  kernel<<<static_cast<unsigned>(blocks * problem.sizes.heads), S::kThreads, S::kBytes,
           context.stream()>>>(problem, scale);
  check_cuda(cudaGetLastError(), "attention");
  return true;
}

/// Where there are fewer blocks of 64 queries than multiprocessors, smaller ones with the keys
/// shared out end sooner.
template <int kWidth, bool kDropout>
bool launch_width(CudaContext& context, const ForwardProblem<Bf16>& problem) {
  constexpr int kSplits = kWidth <= 64 ? 4 : 2;
  const std::int64_t blocks = (problem.sizes.tokens + kTile - 1) / kTile * problem.sizes.heads;
  const bool few = blocks < context.device().multiprocessors;
  if (few && launch<Shape<kWidth, 2, kSplits, kDropout>>(context, problem)) return true;
  return launch<Shape<kWidth, 4, 1, kDropout>>(context, problem);
}

template <bool kDropout>
bool launch_any(CudaContext& context, const ForwardProblem<Bf16>& problem) {
  const int width = problem.sizes.width;
  if (width <= 32) return launch_width<32, kDropout>(context, problem);
  if (width <= 64) return launch_width<64, kDropout>(context, problem);
  if (width <= 96) return launch_width<96, kDropout>(context, problem);
  return width <= kWidestMma && launch_width<128, kDropout>(context, problem);
}

}  // namespace

bool mma_forward(CudaContext& context, const ForwardProblem<Bf16>& problem) {
  return problem.dropout.seed != nullptr ? launch_any<true>(context, problem)
                                         : launch_any<false>(context, problem);
}

}  // namespace cajal::ops::cuda_attention
