// Token and position embedding.
#pragma once

#include "cajal/command_buffer.h"
#include "cajal/tensor.h"

namespace cajal::ops {

/// x[b,t,:] = wte[token[b,t],:] + wpe[position + t,:]     (GPT-2, Radford et al. 2019)
///
/// A token outside [0, V) is a fault of this operation, never an access outside the table.
struct EmbeddingArgs {
  Tensor tokens;    ///< [B,T] i32.
  Tensor wte;       ///< [V,C] f32 or bf16.
  Tensor wpe;       ///< [P,C], dtype of wte.
  Tensor x;         ///< [B,T,C] out, f32 or bf16.
  Tensor position;  ///< Optional [1] i32: position of t = 0; absent means 0. T + position <= P.
};
void embedding(CommandBuffer& commands, const EmbeddingArgs& args);

/// dwte[token,:] += dx[b,t,:] ;  dwpe[t,:] += sum_b dx[b,t,:]     Sums in f32, in a fixed order.
struct EmbeddingBackwardArgs {
  Tensor tokens;  ///< [B,T] i32.
  Tensor dx;      ///< [B,T,C] f32 or bf16.
  Tensor dwte;    ///< [V,C] f32, accumulated into.
  Tensor dwpe;    ///< [P,C] f32, accumulated into.
};
void embedding_backward(CommandBuffer& commands, const EmbeddingBackwardArgs& args);

}  // namespace cajal::ops
