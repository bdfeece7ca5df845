// Draws the next token.
#pragma once

#include <cstdint>

#include "cajal/command_buffer.h"
#include "cajal/tensor.h"

namespace cajal::ops {

struct SamplingOptions {
  float temperature = 1.0F;  ///< 0 takes the largest logit (the lowest id among equals).
  int top_k = 0;             ///< Keep the k largest; 0 keeps all.
  float top_p = 1.0F;        ///< Then keep the smallest set with at least this probability.
};

/// token[b] ~ softmax(logits[b, :vocab] / temperature), cut to top-k, then top-p (Holtzman et al.
/// 2020). The random number of row b is words 0 and 1 of Philox(seed, counter = (position[0], b, 0,
/// 0)). Fault when a logit is NaN or the largest is not finite. With `next_position`:
/// next_position[0] = position[0] + 1, so that a decode step replays as it is.
struct SamplingArgs {
  Tensor logits;         ///< [B,Vpadded] f32 or bf16.
  Tensor seed;           ///< [2] i32.
  Tensor position;       ///< [1] i32.
  Tensor token;          ///< [B] i32 out.
  Tensor next_position;  ///< Optional [1] i32 out; may alias position.
  std::int64_t vocab = 0;
  SamplingOptions options;
};
void sample(CommandBuffer& commands, const SamplingArgs& args);

}  // namespace cajal::ops
