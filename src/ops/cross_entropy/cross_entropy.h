// Softmax cross entropy, fused with its gradient.
#pragma once

#include "cajal/command_buffer.h"
#include "cajal/tensor.h"

namespace cajal::ops {

/// Target id that is masked out: it adds neither loss nor gradient.
inline constexpr std::int32_t kIgnoreTarget = -1;

/// loss[0] += scale * sum_n -log softmax(logits[n])[target[n]]
/// dlogits[n,v] = scale * (softmax(logits[n])[v] - [v == target[n]])
///
/// Columns from `vocab` on are padding: they take no part in the softmax and get gradient 0. A
/// target outside [0, vocab) that is not kIgnoreTarget is a fault. Sums in f32, in a fixed order.
struct CrossEntropyArgs {
  Tensor logits;   ///< [N,Vpadded] f32 or bf16.
  Tensor targets;  ///< [N] i32 (any shape with N elements).
  Tensor scale;    ///< [1] f32: one over the targets that count, for the mean over them.
  Tensor loss;     ///< [1] f32, accumulated into.
  Tensor
      dlogits;  ///< Optional out, shape and dtype of logits; may alias logits. Absent: loss only.
  std::int64_t vocab = 0;
};
void cross_entropy(CommandBuffer& commands, const CrossEntropyArgs& args);

}  // namespace cajal::ops
