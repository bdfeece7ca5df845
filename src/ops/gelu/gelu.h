// GELU, tanh form.
#pragma once

#include "cajal/command_buffer.h"
#include "cajal/tensor.h"

namespace cajal::ops {

/// y = x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))   (Hendrycks and Gimpel 2016; GPT-2's
/// form)
struct GeluArgs {
  Tensor x;  ///< f32 or bf16.
  Tensor y;  ///< Out, shape and dtype of x; may alias x.
};
void gelu(CommandBuffer& commands, const GeluArgs& args);

/// dx = dy * gelu'(x)
struct GeluBackwardArgs {
  Tensor x;  ///< As given to gelu.
  Tensor dy;
  Tensor dx;  ///< Out; may alias dy.
};
void gelu_backward(CommandBuffer& commands, const GeluBackwardArgs& args);

}  // namespace cajal::ops
