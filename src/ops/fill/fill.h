// Zeroing and conversion of whole buffers.
#pragma once

#include "cajal/command_buffer.h"
#include "cajal/tensor.h"

namespace cajal::ops {

/// Every byte 0.
void zero(CommandBuffer& commands, const Tensor& x);

/// to[i] = from[i] converted (f32 to bf16 rounds to nearest even). Same element count.
void convert(CommandBuffer& commands, const Tensor& from, const Tensor& to);

}  // namespace cajal::ops
