// Causal multi-head attention, blocked, with online softmax: no T x T matrix in memory.
#pragma once

#include <cstdint>

#include "cajal/command_buffer.h"
#include "cajal/tensor.h"

namespace cajal::ops {

/// Dropout of attention probabilities, after the softmax. The probability of query t and key s of
/// head h (counted over the batch: b * heads + h) is kept when word s mod 4 of Philox4x32-10,
/// key = seed, counter = (g low, g high, stream, 0), g = (h * ceil(T/4) + s/4) * T + t, read as in
/// dropout.h is >= p; it is then multiplied by 1 / (1 - p).
struct AttentionDropout {
  float probability = 0.0F;  ///< 0 is none, and then the rest is not used.
  Tensor seed;               ///< [2] i32 on the device: the Philox key.
  std::uint32_t stream = 0;  ///< Distinct for every dropout site of a step.
};

/// out = softmax(q k^T / sqrt(D) + causal mask) v per head (Vaswani et al. 2017), by the blocked
/// online softmax of FlashAttention-2 (Dao 2023). Softmax and sums in f32.
struct AttentionArgs {
  Tensor qkv;  ///< [B,T,3*C] f32 or bf16: q, k, v side by side, each [heads, D], D = C / heads.
  Tensor out;  ///< [B,T,C] out, dtype of qkv.
  Tensor lse;  ///< [B,heads,T] f32 out: log of the sum of exponentials, for backward.
  int heads = 1;
  AttentionDropout dropout;
};
void attention(CommandBuffer& commands, const AttentionArgs& args);

/// Gradient of attention. Probabilities are recomputed from lse, block by block.
struct AttentionBackwardArgs {
  Tensor qkv;   ///< As forward.
  Tensor out;   ///< As forward wrote it.
  Tensor lse;   ///< As forward wrote it.
  Tensor dout;  ///< [B,T,C] dtype of qkv.
  Tensor dqkv;  ///< [B,T,3*C] out, dtype of qkv.
  int heads = 1;
  AttentionDropout dropout;
};
void attention_backward(CommandBuffer& commands, const AttentionBackwardArgs& args);

/// Appends T new tokens to a key-value cache and attends from them to all tokens so far:
/// k_cache[b,position+t] = k[b,t], v likewise; out[b,t] = attention over cache[0 .. position+t].
struct CachedAttentionArgs {
  Tensor qkv;      ///< [B,T,3*C].
  Tensor k_cache;  ///< [B,P,C] in and out, dtype of qkv.
  Tensor v_cache;  ///< [B,P,C] in and out, dtype of qkv.
  Tensor
      position;  ///< [1] i32: tokens in the cache before this call; position + T <= P or a fault.
  Tensor out;    ///< [B,T,C] out.
  int heads = 1;
};
void cached_attention(CommandBuffer& commands, const CachedAttentionArgs& args);

}  // namespace cajal::ops
