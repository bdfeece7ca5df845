// Peak arithmetic rates of NVIDIA cards.
#pragma once

#include <optional>
#include <string_view>

#include "cajal/dtype.h"

namespace cajal {

/// FLOP/s of the datasheet: dense, fp8 and bf16 on the tensor cores, fp32 on the CUDA cores.
/// Nothing for a card that is not listed.
std::optional<double> cuda_peak_flops(std::string_view card, DType dtype);

}  // namespace cajal
