// Attention of one head.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <type_traits>

#include "ops/attention/causal.h"
#include "ops/attention/dropout_mask.h"
#include "ops/attention/online_softmax.h"
#include "ops/attention/pack.h"
#include "ops/attention/product.h"
#include "ops/attention/workspace.h"

namespace cajal::ops::attention_kernels {

/// Query t stands at position + t and sees the keys up to there.
template <class Storage>
struct ForwardHead {
  HeadRows<Storage> q;
  HeadRows<Storage> k;
  HeadRows<Storage> v;
  Storage* out = nullptr;  ///< Rows as many as q has, out_stride apart.
  std::int64_t out_stride = 0;
  float* lse = nullptr;  ///< Optional.
  std::int64_t position = 0;
  std::int64_t index = 0;  ///< Of the head over the batch, for dropout.
  DropoutMask dropout;
};

/// Goes through blocks of queries; for each through the blocks of keys that it may see. Scores,
/// probabilities and output are kept with a column for every query.
template <class Storage, class Tile>
class ForwardKernel {
 public:
  using Element = typename Tile::Element;

  /// `workspace` must hold what another ForwardKernel of the same width and keys measured.
  ForwardKernel(int width, std::int64_t keys, Workspace& workspace)
      : width_(width),
        depth_(padded_depth<Tile>(width)),
        panel_(std::int64_t{kBlock} * depth_),
        packer_(width_, depth_,
                workspace.take<Element>(Packer<Storage, Tile>::scratch_elements(depth_))) {
    const auto blocks = static_cast<std::size_t>(block_count(keys) * panel_);
    keys_ = workspace.take<Element>(blocks);
    values_ = workspace.take<Element>(blocks);
    queries_ = workspace.take<Element>(panel_);
    sums_ = workspace.take<float>(panel_);
    unpacked_ = workspace.take<float>(panel_);
    factors_ = workspace.take<float>(kBlock * kBlock);
    scores_ = workspace.take<float>(kBlock * kBlock);
    if constexpr (std::is_same_v<Element, float>) {
      probabilities_ = scores_;
    } else {
      probabilities_ = workspace.take<Element>(kBlock * kBlock);
    }
  }

  /// Blocks [first, last) of queries.
  void run(const ForwardHead<Storage>& head, std::int64_t first, std::int64_t last) {
    const std::int64_t seen = std::min(head.k.count, head.position + last * kBlock);
    for (std::int64_t block = 0; block < block_count(seen); ++block) {
      packer_.token_left(head.k, block * kBlock, keys_ + block * panel_);
      packer_.feature_left(head.v, block * kBlock, values_ + block * panel_);
    }
    for (std::int64_t block = first; block < last; ++block) run_queries(head, block * kBlock);
  }

 private:
  void run_queries(const ForwardHead<Storage>& head, std::int64_t first_query) {
    packer_.token_right(head.q, first_query, queries_);
    OnlineSoftmax<Tile> softmax(std::numbers::log2e_v<float> /
                                std::sqrt(static_cast<float>(width_)));
    const int rows = static_cast<int>(std::min<std::int64_t>(kBlock, head.q.count - first_query));
    const std::int64_t seen = std::min(head.k.count, head.position + first_query + rows);
    for (std::int64_t first_key = 0; first_key < seen; first_key += kBlock) {
      if (head.dropout) {
        head.dropout.fill(head.index, head.q.count, first_query, first_key, factors_);
      }
      add_keys(CausalBlock(head.position + first_query, first_key), first_key,
               head.dropout ? factors_ : nullptr, softmax);
    }
    finish(head, first_query, rows, softmax);
  }

  void add_keys(const CausalBlock& causal, std::int64_t first_key, const float* factors,
                OnlineSoftmax<Tile>& softmax) {
    const Element* keys = keys_ + first_key * depth_;
    const Element* values = values_ + first_key * depth_;
    const bool first = first_key == 0;
    const bool careful = causal.masked() && !all_finite(values);
    for (int half = 0; half < kBlock / kHalf; ++half) {
      const int column = half * kHalf;
      const int seen = causal.key_end(half);
      if (seen == 0) continue;
      Tile::template multiply<false>({seen, kHalf, depth_, keys, depth_,
                                      queries_ + column * Tile::kPair, kBlock, scores_ + column,
                                      kBlock});
      const bool moved = softmax.add(causal, seen, column, scores_, factors, probabilities_);
      if (first) {
        clear_sums(column);
      } else if (moved) {
        correct_sums(column, softmax.correction());
      }
      if (careful) {
        add_visible_values(causal, column, values);
      } else {
        Tile::template multiply<true>({depth_, kHalf, seen, values, kBlock,
                                       probabilities_ + column * Tile::kPair, kBlock,
                                       sums_ + column, kBlock});
      }
    }
  }

  void clear_sums(int column) {
    for (int i = 0; i < depth_; ++i) std::fill_n(sums_ + i * kBlock + column, kHalf, 0.0F);
  }

  void correct_sums(int column, const float* correction) {
    for (int c = column; c < column + kHalf; c += kLanes) {
      const Floats factor = load<Floats>(correction + c);
      for (int i = 0; i < depth_; ++i) {
        float* sum = sums_ + i * kBlock + c;
        store_lanes(sum, load<Floats>(sum) * factor);
      }
    }
  }

  bool all_finite(const Element* values) const {
    Floats sum{};  // 0 times a number is 0, times infinity or NaN it is NaN.
    for (std::int64_t i = 0; i < panel_; i += kLanes) sum += load_floats(values + i) * 0.0F;
    float total = 0.0F;
    for (int i = 0; i < kLanes; ++i) total += sum[i];
    return total == 0.0F;
  }

  static Floats load_floats(const Element* from) {
    if constexpr (std::is_same_v<Element, float>) {
      return load<Floats>(from);
    } else {
      using Halves = std::uint16_t __attribute__((vector_size(2 * kLanes)));
      return reinterpret_cast<Floats>(__builtin_convertvector(load<Halves>(from), Words) << 16);
    }
  }

  /// A product would multiply hidden values by 0, which does not silence infinity and NaN: a token
  /// that has gone wrong must not reach those before it.
  void add_visible_values(const CausalBlock& causal, int column, const Element* values) {
    for (int c = column; c < column + kHalf; ++c) {
      for (int r = 0; r <= std::min(c + causal.offset(), kBlock - 1); ++r) {
        const auto probability = static_cast<float>(
            probabilities_[(r / Tile::kPair * kBlock + c) * Tile::kPair + r % Tile::kPair]);
        for (int i = 0; i < depth_; ++i) {
          sums_[i * kBlock + c] += static_cast<float>(values[i * kBlock + r]) * probability;
        }
      }
    }
  }

  void finish(const ForwardHead<Storage>& head, std::int64_t first_query, int rows,
              const OnlineSoftmax<Tile>& softmax) {
    float normalisers[kBlock];
    for (int c = 0; c < rows; ++c) normalisers[c] = softmax.normaliser(c);
    unpack_features(sums_, normalisers, rows, width_, depth_, unpacked_,
                    head.out + first_query * head.out_stride, head.out_stride);
    if (head.lse == nullptr) return;
    for (int c = 0; c < rows; ++c) head.lse[first_query + c] = softmax.log_sum(c);
  }

  int width_;
  int depth_;
  std::int64_t panel_;  // Elements of a block.
  Packer<Storage, Tile> packer_;
  Element* keys_;           // token_left, every block.
  Element* values_;         // feature_left, every block.
  Element* queries_;        // token_right.
  float* sums_;             // [feature][query]
  float* unpacked_;         // [query][feature]
  float* factors_;          // [key][query]
  float* scores_;           // [key][query]
  Element* probabilities_;  // As operand B over keys.
};

}  // namespace cajal::ops::attention_kernels
