// Gradient of attention of one head.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <type_traits>

#include "ops/attention/causal.h"
#include "ops/attention/dropout_mask.h"
#include "ops/attention/pack.h"
#include "ops/attention/product.h"
#include "ops/attention/split.h"
#include "ops/attention/workspace.h"

namespace cajal::ops::attention_kernels {

template <class Storage>
struct BackwardHead {
  HeadRows<Storage> q;
  HeadRows<Storage> k;
  HeadRows<Storage> v;
  HeadRows<Storage> out;
  HeadRows<Storage> dout;
  const float* lse = nullptr;
  Storage* dq = nullptr;  ///< Rows gradient_stride apart, as those of dk and dv.
  Storage* dk = nullptr;
  Storage* dv = nullptr;
  std::int64_t gradient_stride = 0;
  std::int64_t index = 0;  ///< Of the head over the batch, for dropout.
  DropoutMask dropout;
};

/// Blocks of keys and queries to go through, and which gradients are then complete: those of the
/// queries when all keys are in, those of keys and values when all queries are.
struct BackwardPart {
  Range keys;
  Range queries;
  bool for_queries = true;
  bool for_keys = true;
};

/// The second algorithm of FlashAttention-2 (Dao 2023), with scores as [key][query]: blocks of keys
/// outside, blocks of queries inside, so every gradient sums its terms in the same order whatever
/// the part.
template <class Storage, class Tile>
class BackwardKernel {
 public:
  using Element = typename Tile::Element;

  /// `workspace` must hold what another BackwardKernel of the same width and tokens measured.
  BackwardKernel(int width, std::int64_t tokens, Workspace& workspace)
      : width_(width),
        depth_(padded_depth<Tile>(width)),
        panel_(std::int64_t{kBlock} * depth_),
        scale_(1.0F / std::sqrt(static_cast<float>(width))),
        packer_(width_, depth_,
                workspace.take<Element>(Packer<Storage, Tile>::scratch_elements(depth_))) {
    const auto blocks = static_cast<std::size_t>(block_count(tokens));
    const auto elements = blocks * static_cast<std::size_t>(panel_);
    for (Element** panels :
         {&k_, &v_, &k_transposed_, &q_, &q_transposed_, &dout_, &dout_transposed_}) {
      *panels = workspace.take<Element>(elements);
    }
    dq_ = workspace.take<float>(elements);
    dk_ = workspace.take<float>(panel_);
    dv_ = workspace.take<float>(panel_);
    unpacked_ = workspace.take<float>(panel_);
    lse_ = workspace.take<float>(blocks * kBlock);
    delta_ = workspace.take<float>(blocks * kBlock);
    factors_ = workspace.take<float>(kBlock * kBlock);
    scores_ = workspace.take<float>(kBlock * kBlock);
    dscores_ = workspace.take<float>(kBlock * kBlock);
    if constexpr (Tile::kPair == 1) {
      p_left_ = scores_;
      ds_left_ = ds_right_ = dscores_;
    } else {
      p_left_ = workspace.take<Element>(kBlock * kBlock);
      ds_left_ = workspace.take<Element>(kBlock * kBlock);
      ds_right_ = workspace.take<Element>(kBlock * kBlock);
    }
  }

  void run(const BackwardHead<Storage>& head, const BackwardPart& part) {
    pack(head, part);
    if (part.for_queries) {
      std::fill(dq_ + part.queries.first * panel_, dq_ + part.queries.last * panel_, 0.0F);
    }
    for (std::int64_t key = part.keys.first; key < part.keys.last; ++key) {
      std::fill_n(dk_, panel_, 0.0F);
      std::fill_n(dv_, panel_, 0.0F);
      for (std::int64_t query = std::max(key, part.queries.first); query < part.queries.last;
           ++query) {
        add_pair(head, part, key, query);
      }
      if (part.for_keys) {
        write_rows(dk_, scale_, head.k.count, key, head.dk, head.gradient_stride);
        write_rows(dv_, 1.0F, head.k.count, key, head.dv, head.gradient_stride);
      }
    }
    if (part.for_queries) write_queries(head, part.queries);
  }

 private:
  void pack(const BackwardHead<Storage>& head, const BackwardPart& part) {
    for (std::int64_t b = part.keys.first; b < part.keys.last; ++b) {
      packer_.token_left(head.k, b * kBlock, k_ + b * panel_);
      packer_.token_left(head.v, b * kBlock, v_ + b * panel_);
      if (part.for_queries) packer_.feature_left(head.k, b * kBlock, k_transposed_ + b * panel_);
    }
    for (std::int64_t b = part.queries.first; b < part.queries.last; ++b) {
      packer_.token_right(head.q, b * kBlock, q_transposed_ + b * panel_);
      packer_.token_right(head.dout, b * kBlock, dout_transposed_ + b * panel_);
      if (part.for_keys) {
        packer_.feature_right(head.q, b * kBlock, q_ + b * panel_);
        packer_.feature_right(head.dout, b * kBlock, dout_ + b * panel_);
      }
    }
    for (std::int64_t t = part.queries.first * kBlock; t < part.queries.last * kBlock; ++t) {
      const bool real = t < head.q.count;
      lse_[t] = real ? head.lse[t] * std::numbers::log2e_v<float> : 0.0F;
      delta_[t] =
          real ? dot(head.dout.data + t * head.dout.stride, head.out.data + t * head.out.stride)
               : 0.0F;
    }
  }

  float dot(const Storage* a, const Storage* b) const {
    float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < width_; ++i) sum += static_cast<float>(a[i]) * static_cast<float>(b[i]);
    return sum;
  }

  void add_pair(const BackwardHead<Storage>& head, const BackwardPart& part, std::int64_t key,
                std::int64_t query) {
    const CausalBlock causal(query * kBlock, key * kBlock);
    if (head.dropout) {
      head.dropout.fill(head.index, head.q.count, query * kBlock, key * kBlock, factors_);
    }
    for (int half = 0; half < kBlock / kHalf; ++half) {
      const int column = half * kHalf;
      const int seen = causal.key_end(half);
      const auto scores = [&](const Element* left, const Element* right, float* to) {
        Tile::template multiply<false>({seen, kHalf, depth_, left + key * panel_, depth_,
                                        right + query * panel_ + column * Tile::kPair, kBlock,
                                        to + column, kBlock});
      };
      scores(k_, q_transposed_, scores_);
      scores(v_, dout_transposed_, dscores_);
      differentiate(head, causal, query, column, seen);
      if (part.for_queries) {
        Tile::template multiply<true>({depth_, kHalf, seen, k_transposed_ + key * panel_, kBlock,
                                       ds_right_ + column * Tile::kPair, kBlock,
                                       dq_ + query * panel_ + column, kBlock});
      }
    }
    if (part.for_keys) add_to_keys(causal, query);
  }

  void add_to_keys(const CausalBlock& causal, std::int64_t query) {
    for (int half = 0; half < kBlock / kHalf; ++half) {
      const int row = half * kHalf;
      const int begin = causal.query_begin(half);
      const auto add = [&](const Element* left, const Element* right, float* to) {
        Tile::template multiply<true>({kHalf, depth_, kBlock - begin, left + row * kBlock + begin,
                                       kBlock, right + query * panel_ + begin * depth_, depth_,
                                       to + row * depth_, depth_});
      };
      add(p_left_, dout_, dv_);
      add(ds_left_, q_, dk_);
    }
  }

  /// Scores and gradients of probabilities, [keys][kBlock], of kHalf queries from `column` on,
  /// become probabilities and gradients of scores.
  void differentiate(const BackwardHead<Storage>& head, const CausalBlock& causal,
                     std::int64_t query, int column, int keys) {
    for (int c = column; c < column + kHalf; c += kLanes) {
      const std::int64_t t = query * kBlock + c;
      if (causal.masked()) {
        head.dropout ? differentiate_lanes<true, true>(causal, t, c, keys)
                     : differentiate_lanes<true, false>(causal, t, c, keys);
      } else {
        head.dropout ? differentiate_lanes<false, true>(causal, t, c, keys)
                     : differentiate_lanes<false, false>(causal, t, c, keys);
      }
    }
  }

  template <bool kMasked, bool kDropout>
  [[gnu::always_inline]] void differentiate_lanes(const CausalBlock& causal, std::int64_t token,
                                                  int column, int keys) {
    const Ints limit = causal.limit(column);
    const Floats lse = load<Floats>(lse_ + token);
    const Floats delta = load<Floats>(delta_ + token);
    const float to_exponent = scale_ * std::numbers::log2e_v<float>;
    const auto one_key = [&](int r) {
      const int at = r * kBlock + column;
      Floats p = exp2_lanes(load<Floats>(scores_ + at) * to_exponent - lse);
      if constexpr (kMasked) p = limit >= r ? p : Floats{};
      Floats dp = load<Floats>(dscores_ + at);
      Floats dropped = p;
      if constexpr (kDropout) {
        const Floats factor = load<Floats>(factors_ + at);
        dropped *= factor;
        dp *= factor;
      }
      Tile::store_left(p_left_ + at, dropped);
      return p * (dp - delta);
    };
    for (int r = 0; r < keys; r += 2) {
      const Floats even = one_key(r);
      const Floats odd = one_key(r + 1);
      Tile::store_right(ds_right_, kBlock, r, column, even, odd);
      if constexpr (Tile::kPair != 1) {
        Tile::store_left(ds_left_ + r * kBlock + column, even);
        Tile::store_left(ds_left_ + (r + 1) * kBlock + column, odd);
      }
    }
  }

  void write_rows(const float* sums, float factor, std::int64_t count, std::int64_t block,
                  Storage* to, std::int64_t stride) const {
    const std::int64_t first = block * kBlock;
    const std::int64_t rows = std::min<std::int64_t>(kBlock, count - first);
    for (std::int64_t r = 0; r < rows; ++r) {
      Storage* row = to + (first + r) * stride;
      for (int i = 0; i < width_; ++i) store(row[i], sums[r * depth_ + i] * factor);
    }
  }

  void write_queries(const BackwardHead<Storage>& head, const Range& queries) {
    float factors[kBlock];
    std::fill_n(factors, kBlock, scale_);
    for (std::int64_t b = queries.first; b < queries.last; ++b) {
      const int rows = static_cast<int>(std::min<std::int64_t>(kBlock, head.q.count - b * kBlock));
      unpack_features(dq_ + b * panel_, factors, rows, width_, depth_, unpacked_,
                      head.dq + b * kBlock * head.gradient_stride, head.gradient_stride);
    }
  }

  int width_;
  int depth_;
  std::int64_t panel_;  // Elements of a block.
  float scale_;
  Packer<Storage, Tile> packer_;
  // Every block of the head.
  Element* k_;                // token_left
  Element* v_;                // token_left
  Element* k_transposed_;     // feature_left
  Element* q_;                // feature_right
  Element* q_transposed_;     // token_right
  Element* dout_;             // feature_right
  Element* dout_transposed_;  // token_right
  float* dq_;                 // [feature][query]
  float* lse_;                // To base 2.
  float* delta_;              // Row sums of dout * out.
  // The block of keys in hand.
  float* dk_;  // [key][feature]
  float* dv_;  // [key][feature]
  // The pair of blocks in hand, [key][query].
  float* factors_;
  float* scores_;
  float* dscores_;
  Element* p_left_;
  Element* ds_left_;
  Element* ds_right_;
  float* unpacked_;  // [query][feature]
};

}  // namespace cajal::ops::attention_kernels
