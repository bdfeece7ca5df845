// Euclidean norm of all gradients at once.
#pragma once

#include "cajal/command_buffer.h"
#include "cajal/tensor.h"

namespace cajal::ops {

/// norm[0] = sqrt(sum_i x[i]^2), in two stages of f64 partial sums in a fixed order. Not finite
/// when any element is not.
struct GlobalNormArgs {
  Tensor x;     ///< [n] f32: the gradient arena.
  Tensor norm;  ///< [1] f32 out.
};
void global_norm(CommandBuffer& commands, const GlobalNormArgs& args);

}  // namespace cajal::ops
