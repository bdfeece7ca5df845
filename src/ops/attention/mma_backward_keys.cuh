// The backward pass on tensor cores for 64 keys: gradients of k and v.
#pragma once

#include "ops/attention/mma_backward.cuh"

namespace cajal::ops::cuda_attention {

/// Scores lie as [key][query], so that probabilities are left operands as they come.
template <class S>
class BackwardKeys {
 public:
  __device__ BackwardKeys(const BackwardProblem<Bf16>& problem, const BackwardThread<S>& at,
                          float scale)
      : problem_(problem), sizes_(problem.sizes), at_(at), scale_(scale) {}

  __device__ void run() {
    const int blocks = (sizes_.tokens + kTile - 1) / kTile;
    const int first = at_.block + at_.split;
    load_tile<kWidth>(at_.own, source(problem_.k), at_.block * kTile, static_cast<int>(threadIdx.x),
                      S::kThreads);
    load_tile<kWidth>(at_.own + kElements, source(problem_.v), at_.block * kTile,
                      static_cast<int>(threadIdx.x), S::kThreads);
    commit_copies();
    if (first < blocks) load(first, 0);
    commit_copies();
    wait_copies<1>();
    __syncthreads();

    const int row = at_.first_row() * kTileStride<kWidth>;
    const LeftRows<kWidth, S::kKept> k(at_.own + row);
    const LeftRows<kWidth, S::kKept> v(at_.own + kElements + row);
    int stage = 0;
    for (int tile = first; tile < blocks; tile += S::kSplits) {
      if (tile + S::kSplits < blocks) load(tile + S::kSplits, stage ^ 1);
      commit_copies();
      wait_copies<1>();
      at_.group().sync();
      add_tile(k, v, tile, stage);
      at_.group().sync();  // Before the next copies go where this tile lies.
      stage ^= 1;
    }
    merge();
    if (at_.split == 0) write();
  }

 private:
  static constexpr int kWidth = S::kWidth;
  static constexpr int kElements = kTileElements<kWidth>;

  __device__ TileSource source(const HeadRows<const Bf16>& rows) const {
    return at_.source(rows, sizes_, problem_.vector);
  }

  __device__ void load(int tile, int stage) const {
    Bf16* const to = at_.stages + stage * S::kStage;
    const int first = tile * kTile;
    load_tile<kWidth>(to, source(problem_.q), first, at_.thread, S::kGroupThreads);
    load_tile<kWidth>(to + kElements, source(problem_.dout), first, at_.thread, S::kGroupThreads);
    load_tile<kWidth>(to + 2 * kElements, source(problem_.out), first, at_.thread,
                      S::kGroupThreads);
    if (at_.thread < kTile) {
      const float* const lse = problem_.lse + std::int64_t{at_.head} * sizes_.tokens;
      const int query = first + at_.thread;
      const bool real = query < sizes_.tokens;
      copy_word_async(at_.numbers + stage * kTile + at_.thread, real ? lse + query : lse, real);
    }
  }

  __device__ void add_tile(const LeftRows<kWidth, S::kKept>& k, const LeftRows<kWidth, S::kKept>& v,
                           int tile, int stage) {
    const Bf16* const queries = at_.stages + stage * S::kStage;
    const Bf16* const dout = queries + kElements;
    float* const delta = at_.numbers + 2 * kTile;
    const float product = row_product<kWidth>(dout, dout + kElements, at_.thread);
    if (at_.thread % 2 == 0) delta[at_.thread / 2] = product;
#pragma unroll
    for (int chunk = 0; chunk < kTile; chunk += S::kChunk) {
      const int row = chunk * kTileStride<kWidth>;
      float scores[S::kChunk / 8][4];
      float gradients[S::kChunk / 8][4];
      multiply_rows<kWidth, S::kChunk>(scores, k, queries + row);
      multiply_rows<kWidth, S::kChunk>(gradients, v, dout + row);
      if (chunk == 0) at_.group().sync();  // For delta.
      differentiate_chunk(scores, gradients, tile, chunk, at_.numbers + stage * kTile + chunk,
                          delta + chunk);
      LeftFragment left[S::kChunk / 16];
#pragma unroll
      for (int i = 0; i < S::kChunk / 16; ++i) left[i] = to_left(scores[2 * i], scores[2 * i + 1]);
      multiply_columns<kWidth, S::kChunk>(dv_, left, dout + row);
#pragma unroll
      for (int i = 0; i < S::kChunk / 16; ++i) {
        left[i] = to_left(gradients[2 * i], gradients[2 * i + 1]);
      }
      multiply_columns<kWidth, S::kChunk>(dk_, left, queries + row);
    }
  }

  /// `lse` and `delta` are those of the chunk's queries.
  __device__ void differentiate_chunk(float (&scores)[S::kChunk / 8][4],
                                      float (&gradients)[S::kChunk / 8][4], int tile, int chunk,
                                      const float* lse, const float* delta) const {
    const int column = at_.thread % 4 * 2;
    const bool masked = tile == at_.block;
    const auto each = [&](auto kept) {
#pragma unroll
      for (int n = 0; n < S::kChunk / 8; ++n) {
        const float2 lse2 = *reinterpret_cast<const float2*>(lse + 8 * n + column);
        const float2 delta2 = *reinterpret_cast<const float2*>(delta + 8 * n + column);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int query = chunk + 8 * n + column + i % 2;
          const int key = at_.upper_row() + i / 2 * 8;
          const float log_sum = (i % 2 == 0 ? lse2.x : lse2.y) * std::numbers::log2e_v<float>;
          const Differentiated d =
              differentiate(fmaf(scores[n][i], scale_ * std::numbers::log2e_v<float>, -log_sum),
                            gradients[n][i], i % 2 == 0 ? delta2.x : delta2.y,
                            !masked || key <= query, kept(n, i), problem_.dropout.kept);
          scores[n][i] = d.probability;
          gradients[n][i] = d.gradient;
        }
      }
    };
    if constexpr (S::kDropout) {
      const DropoutBits random(problem_.dropout, at_.head, sizes_.tokens);
      const KeyRowBits<S::kChunk / 8> bits(random, tile * kTile + chunk,
                                           at_.block * kTile + at_.first_row());
      each([&](int n, int i) { return bits.kept(n, i); });
    } else {
      each([](int, int) { return true; });
    }
  }

  __device__ void merge() {
    if constexpr (S::kSplits > 1) {
      constexpr int kFloats = kWidth / 2 * S::kGroupThreads;
      static_assert(2 * kFloats * sizeof(float) <= 2 * S::kStage * sizeof(Bf16));
      if (at_.split > 0) {
        auto* const room = reinterpret_cast<float*>(at_.stages);
        put_sums(dk_, room, at_.thread, S::kGroupThreads);
        put_sums(dv_, room + kFloats, at_.thread, S::kGroupThreads);
      }
      __syncthreads();
      if (at_.split > 0) return;
      for (int other = 1; other < S::kSplits; ++other) {
        const auto* const room = reinterpret_cast<const float*>(at_.stages + other * 2 * S::kStage);
        add_sums(dk_, room, at_.thread, S::kGroupThreads);
        add_sums(dv_, room + kFloats, at_.thread, S::kGroupThreads);
      }
    }
  }

  __device__ void write() const {
    const int upper = at_.block * kTile + at_.upper_row();
    const int row[2] = {upper, upper + 8};
    const float kept = problem_.dropout.kept;
    store_sums<kWidth>(dk_, rows_of(problem_.dk, sizes_, at_.head), sizes_.width, row,
                       sizes_.tokens, {scale_, scale_}, problem_.vector);
    store_sums<kWidth>(dv_, rows_of(problem_.dv, sizes_, at_.head), sizes_.width, row,
                       sizes_.tokens, {kept, kept}, problem_.vector);
  }

  const BackwardProblem<Bf16>& problem_;
  const Sizes& sizes_;
  const BackwardThread<S>& at_;
  float scale_;
  float dk_[kWidth / 8][4] = {};
  float dv_[kWidth / 8][4] = {};
};

}  // namespace cajal::ops::cuda_attention
