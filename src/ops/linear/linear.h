// Affine maps: y = x W + b, with GELU fused on request, and their gradients.
#pragma once

#include "cajal/command_buffer.h"
#include "cajal/tensor.h"

namespace cajal::ops {

// With `fp8` a product rounds x and the weight to e4m3 and dy to e5m2, each scaled by its largest
// magnitude (Micikevicius et al. 2022). Sums, results and the gradients of weights stay as they
// are. It needs bf16, sizes that are multiples of 16, and a device with supports_fp8.

/// How the weight lies in memory.
enum class WeightLayout : std::uint8_t {
  in_out,  ///< [in,out]: GPT-2's checkpoints ("Conv1D").
  out_in,  ///< [out,in]: everybody else's, and a tied output head.
};

/// y = x W + b ; with `pre_gelu`: pre_gelu = x W + b, y = gelu(pre_gelu) (tanh form, see gelu.h).
/// x is used as [N, in], N the product of its leading dimensions. Products accumulate in f32.
struct LinearArgs {
  Tensor x;           ///< [..., in] f32 or bf16.
  Tensor weight;      ///< dtype of x.
  Tensor bias{};      ///< Optional [out], f32 or dtype of x.
  Tensor y;           ///< [..., out] out; dtype of x, or f32.
  Tensor pre_gelu{};  ///< Optional [..., out] out, dtype of x: what gelu_backward needs.
  WeightLayout layout = WeightLayout::in_out;
  bool fp8 = false;  ///< See above.
};
void linear(CommandBuffer& commands, const LinearArgs& args);

/// dx = dy W^T ; with `pre_gelu`: dx = (dy W^T) * gelu'(pre_gelu), the gradient before the GELU
/// that produced this layer's input.
struct LinearBackwardInputArgs {
  Tensor dy;          ///< [..., out] f32 or bf16.
  Tensor weight;      ///< dtype of dy.
  Tensor dx;          ///< [..., in] out, dtype of dy.
  Tensor pre_gelu{};  ///< Optional [..., in], dtype of dy.
  WeightLayout layout = WeightLayout::in_out;
  bool fp8 = false;  ///< See above.
};
void linear_backward_input(CommandBuffer& commands, const LinearBackwardInputArgs& args);

/// dW = x^T dy (or its transpose, by layout) ; db = sum_n dy. In f32, in a fixed order.
struct LinearBackwardWeightArgs {
  Tensor x;                 ///< [..., in] f32 or bf16.
  Tensor dy;                ///< [..., out] dtype of x.
  Tensor dweight;           ///< f32, in the weight's layout.
  Tensor dbias{};           ///< Optional [out] f32.
  bool accumulate = false;  ///< Add to what dweight and dbias hold; else overwrite.
  WeightLayout layout = WeightLayout::in_out;
};
void linear_backward_weight(CommandBuffer& commands, const LinearBackwardWeightArgs& args);

}  // namespace cajal::ops
