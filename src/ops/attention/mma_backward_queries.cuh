// The backward pass on tensor cores for 64 queries: the gradient of q.
#pragma once

#include "ops/attention/mma_backward.cuh"

namespace cajal::ops::cuda_attention {

template <class S>
class BackwardQueries {
 public:
  __device__ BackwardQueries(const BackwardProblem<Bf16>& problem, const BackwardThread<S>& at,
                             float scale)
      : problem_(problem), sizes_(problem.sizes), at_(at), scale_(scale) {}

  __device__ void run() {
    load_own(problem_.q, 0);
    load_own(problem_.dout, 1);
    load_own(problem_.out, 2);
    commit_copies();
    if (at_.split <= at_.block) load(at_.split, 0);
    commit_copies();
    wait_copies<1>();
    __syncthreads();
    read_numbers();

    const int row = at_.first_row() * kTileStride<kWidth>;
    const LeftRows<kWidth, S::kKept> q(at_.own + row);
    const LeftRows<kWidth, S::kKept> dout(at_.own + kElements + row);
    int stage = 0;
    for (int tile = at_.split; tile <= at_.block; tile += S::kSplits) {
      if (tile + S::kSplits <= at_.block) load(tile + S::kSplits, stage ^ 1);
      commit_copies();
      wait_copies<1>();
      at_.group().sync();
      add_tile(q, dout, tile, stage);
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

  __device__ void load_own(const HeadRows<const Bf16>& rows, int tile) const {
    load_tile<kWidth>(at_.own + tile * kElements, source(rows), at_.block * kTile,
                      static_cast<int>(threadIdx.x), S::kThreads);
  }

  __device__ void load(int tile, int stage) const {
    Bf16* const to = at_.stages + stage * S::kStage;
    load_tile<kWidth>(to, source(problem_.k), tile * kTile, at_.thread, S::kGroupThreads);
    load_tile<kWidth>(to + kElements, source(problem_.v), tile * kTile, at_.thread,
                      S::kGroupThreads);
  }

  /// lse and delta of this lane's rows.
  __device__ void read_numbers() {
    if (at_.split == 0) {
      const float product =
          row_product<kWidth>(at_.own + kElements, at_.own + 2 * kElements, at_.thread);
      if (at_.thread % 2 == 0) at_.own_numbers[at_.thread / 2] = product;
    }
    __syncthreads();
    const float* const lse = problem_.lse + std::int64_t{at_.head} * sizes_.tokens;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = at_.upper_row() + 8 * half;
      const int query = at_.block * kTile + row;
      delta_[half] = at_.own_numbers[row];
      log_sum_[half] = query < sizes_.tokens ? lse[query] * std::numbers::log2e_v<float> : 0.0F;
    }
  }

  __device__ void add_tile(const LeftRows<kWidth, S::kKept>& q,
                           const LeftRows<kWidth, S::kKept>& dout, int tile, int stage) {
    const Bf16* const keys = at_.stages + stage * S::kStage;
    const Bf16* const values = keys + kElements;
#pragma unroll
    for (int chunk = 0; chunk < kTile; chunk += S::kChunk) {
      const int row = chunk * kTileStride<kWidth>;
      float scores[S::kChunk / 8][4];
      float gradients[S::kChunk / 8][4];
      multiply_rows<kWidth, S::kChunk>(scores, q, keys + row);
      multiply_rows<kWidth, S::kChunk>(gradients, dout, values + row);
      differentiate_chunk(scores, gradients, tile, chunk);
      LeftFragment left[S::kChunk / 16];
#pragma unroll
      for (int i = 0; i < S::kChunk / 16; ++i) {
        left[i] = to_left(gradients[2 * i], gradients[2 * i + 1]);
      }
      multiply_columns<kWidth, S::kChunk>(dq_, left, keys + row);
    }
  }

  __device__ void differentiate_chunk(const float (&scores)[S::kChunk / 8][4],
                                      float (&gradients)[S::kChunk / 8][4], int tile,
                                      int chunk) const {
    const int column = at_.thread % 4 * 2;
    const bool masked = tile == at_.block;
    const auto each = [&](auto kept) {
#pragma unroll
      for (int n = 0; n < S::kChunk / 8; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int key = chunk + 8 * n + column + i % 2;
          const int query = at_.upper_row() + i / 2 * 8;
          const Differentiated d = differentiate(
              fmaf(scores[n][i], scale_ * std::numbers::log2e_v<float>, -log_sum_[i / 2]),
              gradients[n][i], delta_[i / 2], !masked || key <= query, kept(n, i),
              problem_.dropout.kept);
          gradients[n][i] = d.gradient;
        }
      }
    };
    if constexpr (S::kDropout) {
      const DropoutBits random(problem_.dropout, at_.head, sizes_.tokens);
      const int upper = at_.block * kTile + at_.upper_row();
      const QueryRowBits<S::kChunk / 8> bits(random, upper, upper + 8, tile * kTile + chunk);
      each([&](int n, int i) { return bits.kept(n, i); });
    } else {
      each([](int, int) { return true; });
    }
  }

  __device__ void merge() {
    if constexpr (S::kSplits > 1) {
      if (at_.split > 0) {
        put_sums(dq_, reinterpret_cast<float*>(at_.stages), at_.thread, S::kGroupThreads);
      }
      __syncthreads();
      if (at_.split > 0) return;
      for (int other = 1; other < S::kSplits; ++other) {
        add_sums(dq_, reinterpret_cast<const float*>(at_.stages + other * 2 * S::kStage),
                 at_.thread, S::kGroupThreads);
      }
    }
  }

  __device__ void write() const {
    const int upper = at_.block * kTile + at_.upper_row();
    const int row[2] = {upper, upper + 8};
    store_sums<kWidth>(dq_, rows_of(problem_.dq, sizes_, at_.head), sizes_.width, row,
                       sizes_.tokens, {scale_, scale_}, problem_.vector);
  }

  const BackwardProblem<Bf16>& problem_;
  const Sizes& sizes_;
  const BackwardThread<S>& at_;
  float scale_;
  float delta_[2];
  float log_sum_[2];  ///< To base 2.
  float dq_[kWidth / 8][4] = {};
};

}  // namespace cajal::ops::cuda_attention
