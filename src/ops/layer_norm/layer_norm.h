// Layer normalisation with the residual addition before it fused in.
#pragma once

#include "cajal/command_buffer.h"
#include "cajal/tensor.h"

namespace cajal::ops {

/// s = x + residual ; y = (s - mean(s)) / sqrt(var(s) + epsilon) * weight + bias
/// over the last dimension C, biased variance (Ba et al. 2016). Statistics in f32, two passes.
struct LayerNormArgs {
  Tensor x;         ///< [N..., C] f32 or bf16.
  Tensor residual;  ///< Optional, shape and dtype of x.
  Tensor weight;    ///< [C] f32.
  Tensor bias;      ///< [C] f32.
  Tensor y;         ///< Out, shape and dtype of x.
  Tensor sum;       ///< s, out, shape and dtype of x; required with residual, may alias x. y is
                    ///< computed from s as stored (rounded to its dtype), so that backward agrees.
  Tensor mean;      ///< [N] f32 out.
  Tensor rstd;      ///< [N] f32 out: 1 / sqrt(var + epsilon).
  float epsilon = 1e-5F;
};
void layer_norm(CommandBuffer& commands, const LayerNormArgs& args);

/// ds = LN'(dy) + dsum, where dsum is the gradient that reaches s past the norm. Both x and
/// residual have gradient ds. dweight and dbias are summed in f32 in a fixed order.
struct LayerNormBackwardArgs {
  Tensor dy;                ///< [N..., C] f32 or bf16.
  Tensor sum;               ///< s of the forward pass (x where there was no residual).
  Tensor weight;            ///< [C] f32.
  Tensor mean;              ///< [N] f32.
  Tensor rstd;              ///< [N] f32.
  Tensor dsum;              ///< Optional, shape and dtype of dy.
  Tensor ds;                ///< Out, shape and dtype of dy; may alias dsum or dy.
  Tensor dweight;           ///< [C] f32.
  Tensor dbias;             ///< [C] f32.
  Tensor dbranch_bias{};    ///< Optional [C] f32: ds, before it is rounded, summed over rows. The
                            ///< gradient of a bias that was added to x or to residual.
  bool accumulate = false;  ///< Add to dweight, dbias and dbranch_bias; else overwrite.
};
void layer_norm_backward(CommandBuffer& commands, const LayerNormBackwardArgs& args);

}  // namespace cajal::ops
