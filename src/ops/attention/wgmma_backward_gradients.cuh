// What a warpgroup computes of an item.
#pragma once

#include <numbers>

#include "ops/attention/wgmma_backward.cuh"

namespace cajal::ops::cuda_attention::wgmma {

class Gradients {
 public:
  __device__ Gradients(const Arguments& arguments, const Memory& memory)
      : a_(arguments),
        memory_(memory),
        group_(uniform(static_cast<int>(threadIdx.x) / kWarpgroup)),
        warp_(static_cast<int>(threadIdx.x) / 32 % 4),
        lane_(static_cast<int>(threadIdx.x) % 32),
        scale_log2_(a_.scale * std::numbers::log2e_v<float>) {}

  __device__ void run() {
    for (;; own_.next()) {
      wait_phase(memory_.own_full(own_.place), own_.parity);
      const unsigned index = uniform(static_cast<unsigned>(memory_.index(own_.place)));
      if (index >= item_count(a_)) return;
      const Item item = item_at(a_, index);
      if (!exists(item)) {
        skip(item.last - item.first + 1);
      } else if (item.role == Role::keys) {
        of_keys(item);
      } else {
        of_queries(item);
      }
      release(memory_.own_empty(own_.place));
    }
  }

 private:
  __device__ void release(std::uint32_t barrier) const {
    __syncwarp();
    if (lane_ == 0) arrive(barrier);
  }

  __device__ bool exists(const Item& item) const { return item.own_tile(group_) < tiles_of(a_); }

  /// Tiles that the other warpgroup alone sees.
  __device__ void skip(int count) {
    for (; count > 0; --count) {
      wait_phase(memory_.full(turn_.place), turn_.parity);
      release(memory_.empty(turn_.place));
      turn_.next();
    }
  }

  /// Of a pair of a thread's rows, 8 apart: the upper one in its tile.
  __device__ int upper_row() const { return warp_ * 16 + lane_ / 4; }
  /// Of the first column of a thread's in block `j` of eight.
  __device__ int column(int j) const { return j * 8 + lane_ % 4 * 2; }

  // Keys: scores, probabilities and their gradients stand transposed, a key a row.

  /// p' = exp(s' - lse); nothing for queries before the key.
  __device__ void probabilities_of_keys(Accumulators& s, const RowNumbers* numbers,
                                        bool diagonal) const {
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      const float4 pair = *reinterpret_cast<const float4*>(numbers + column(j));
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float lse = i % 2 == 0 ? pair.x : pair.z;
        s.at[j * 4 + i] = exp2_fast(s.at[j * 4 + i] * scale_log2_ - lse);
      }
    }
    if (!diagonal) return;
#pragma unroll
    for (int i = 0; i < 32; ++i) {
      if (column(i / 4) + i % 2 < upper_row() + i % 4 / 2 * 8) s.at[i] = 0.0F;
    }
  }

  /// dp' becomes p' (dp' - delta).
  __device__ void score_gradients_of_keys(Accumulators& dp, const Accumulators& p,
                                          const RowNumbers* numbers) const {
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      const float4 pair = *reinterpret_cast<const float4*>(numbers + column(j));
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float delta = i % 2 == 0 ? pair.y : pair.w;
        dp.at[j * 4 + i] = p.at[j * 4 + i] * (dp.at[j * 4 + i] - delta);
      }
    }
  }

  __device__ void of_keys(const Item& item) {
    const int own = item.own_tile(group_);
    const std::uint32_t k = memory_.own(own_.place, group_, 0);
    const std::uint32_t v = memory_.own(own_.place, group_, 1);
    skip(own - item.first);
    Accumulators dk;
    Accumulators dv;
    dk.clear();
    dv.clear();
    std::uint32_t read = 0;  // Barrier of the stage whose products may still be under way.
    for (int tile = own; tile <= item.last; ++tile) {
      const int stage = turn_.place;
      const std::uint32_t q = memory_.tile(stage, 0);
      const std::uint32_t dout = memory_.tile(stage, 1);
      const RowNumbers* const numbers = memory_.numbers_at(Memory::numbers(stage));
      wait_phase(memory_.full(stage), turn_.parity);
      turn_.next();
      Accumulators s;
      Accumulators dp;
      begin_products();
      set_product(s, k, q);
      set_product(dp, v, dout);
      wait_products<1>();
      s.settle();
      if (read != 0) release(read);
      read = memory_.empty(stage);
      probabilities_of_keys(s, numbers, tile == own);
      LeftFragment rounded[4];
      to_left(rounded, s);
      begin_products();
      add_product(dv, rounded, dout);
      wait_products<1>();
      dp.settle();
      score_gradients_of_keys(dp, s, numbers);
      LeftFragment ds[4];
      to_left(ds, dp);
      begin_products();
      add_product(dk, ds, q);
    }
    wait_products<0>();
    dk.settle();
    dv.settle();
    release(read);
    write(a_.dk, item, dk, a_.scale);
    write(a_.dv, item, dv, 1.0F);
  }

  // Queries.

  /// exp(s - lse); nothing for keys after the query.
  template <bool kDiagonal>
  __device__ void probabilities_of_queries(Accumulators& p, const Accumulators& s,
                                           const RowNumbers (&numbers)[2]) const {
#pragma unroll
    for (int i = 0; i < 32; ++i) {
      p.at[i] = exp2_fast(s.at[i] * scale_log2_ - numbers[i % 4 / 2].lse_log2);
      if (kDiagonal && column(i / 4) + i % 2 > upper_row() + i % 4 / 2 * 8) p.at[i] = 0.0F;
    }
  }

  /// dp becomes p (dp - delta).
  __device__ static void score_gradients_of_queries(Accumulators& dp, const Accumulators& p,
                                                    const RowNumbers (&numbers)[2]) {
#pragma unroll
    for (int i = 0; i < 32; ++i) {
      dp.at[i] = p.at[i] * (dp.at[i] - numbers[i % 4 / 2].delta);
    }
  }

  /// The scores of the keys at turn_, once they are there.
  __device__ void begin_scores(Accumulators& s, std::uint32_t q) const {
    wait_phase(memory_.full(turn_.place), turn_.parity);
    begin_products();
    set_product(s, q, memory_.tile(turn_.place, 0));
  }

  __device__ void of_queries(const Item& item) {
    const int own = item.own_tile(group_);
    const std::uint32_t q = memory_.own(own_.place, group_, 0);
    const std::uint32_t dout = memory_.own(own_.place, group_, 1);
    const RowNumbers* const own_numbers =
        memory_.numbers_at(Memory::own_numbers(own_.place, group_));
    const RowNumbers numbers[2] = {own_numbers[upper_row()], own_numbers[upper_row() + 8]};
    Accumulators dq;
    dq.clear();
    Accumulators s;
    Accumulators dp;
    Accumulators p;
    LeftFragment ds[4];
    std::uint32_t read = 0;
    begin_scores(s, q);
    wait_products<0>();
    s.settle();
    // The scores of the next tile are worked out while this one's gradients are.
    for (int tile = item.first; tile < own; ++tile) {
      const int stage = turn_.place;
      turn_.next();
      begin_products();
      set_product(dp, dout, memory_.tile(stage, 1));
      probabilities_of_queries<false>(p, s, numbers);
      begin_scores(s, q);
      wait_products<1>();
      dp.settle();
      if (read != 0) release(read);
      read = memory_.empty(stage);
      score_gradients_of_queries(dp, p, numbers);
      to_left(ds, dp);
      begin_products();
      add_product(dq, ds, memory_.tile(stage, 0));
      wait_products<1>();
      s.settle();
    }
    const int stage = turn_.place;
    begin_products();
    set_product(dp, dout, memory_.tile(stage, 1));
    probabilities_of_queries<true>(p, s, numbers);
    wait_products<0>();
    dp.settle();
    if (read != 0) release(read);
    score_gradients_of_queries(dp, p, numbers);
    to_left(ds, dp);
    begin_products();
    add_product(dq, ds, memory_.tile(stage, 0));
    wait_products<0>();
    dq.settle();
    release(memory_.empty(stage));
    turn_.next();
    skip(item.last - own);
    write(a_.dq, item, dq, a_.scale);
  }

  __device__ void write(Bf16* gradient, const Item& item, const Accumulators& sums,
                        float factor) const {
    const std::int64_t token = std::int64_t{item.head / a_.heads_a_sequence} * a_.tokens +
                               item.own_tile(group_) * kTileSide + upper_row();
    Bf16* const to =
        gradient + token * a_.gradient_stride + item.head % a_.heads_a_sequence * kTileSide;
// Lane t of four has columns 8 j + 2 t and the next of every j; turned around, the eight columns
// of every fourth j.
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      Bf16* const row = to + half * 8 * a_.gradient_stride;
#pragma unroll
      for (int four = 0; four < 2; ++four) {
        std::uint32_t words[4];
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const float* const at = sums.at + (four * 4 + j) * 4 + half * 2;
          words[j] = pack(at[0] * factor, at[1] * factor);
        }
        turn_around(words);
        *reinterpret_cast<uint4*>(row + (four * 4 + lane_ % 4) * 8) = {words[0], words[1], words[2],
                                                                       words[3]};
      }
    }
  }

  const Arguments& a_;
  const Memory& memory_;
  int group_;
  int warp_;
  int lane_;
  float scale_log2_;
  Turn<kItems> own_;
  Turn<kStages> turn_;
};

}  // namespace cajal::ops::cuda_attention::wgmma
