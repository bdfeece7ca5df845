// Dropout with counter-based random numbers.
#pragma once

#include <cstdint>

#include "cajal/command_buffer.h"
#include "cajal/tensor.h"

namespace cajal::ops {

/// y = x / (1 - p) where kept, 0 where dropped. Element i is kept when word i mod 4 of
/// Philox4x32-10 (Salmon et al. 2011), key = seed, counter = (i/4 low, i/4 high, stream, 0), read
/// as a uniform number in [0,1), is >= p. The same call on a gradient is the backward pass.
struct DropoutArgs {
  Tensor x;                  ///< f32 or bf16.
  Tensor y;                  ///< Out, shape and dtype of x; may alias x.
  Tensor seed;               ///< [2] i32 on the device: differs from step to step.
  std::uint32_t stream = 0;  ///< Distinct for every site and micro-batch of a step.
  float probability = 0.0F;  ///< In [0,1).
};
void dropout(CommandBuffer& commands, const DropoutArgs& args);

}  // namespace cajal::ops
