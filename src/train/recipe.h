// What a preset is trained with unless the user says otherwise.
#pragma once

#include <cstdint>
#include <string_view>

#include "cajal/dtype.h"

namespace cajal::train {

struct Recipe {
  std::int64_t batch = 4;
  std::int64_t steps = 1000;
  float learning_rate = 3e-4F;
  std::int64_t warmup = 100;
};

/// What a device computes in unless the user says otherwise: bf16 on a GPU, where it is many times
/// quicker and every one has it; fp32 on a CPU.
DType default_dtype(std::string_view device);

/// Throws InvalidArgument that lists the presets.
Recipe recipe_for(std::string_view preset);

}  // namespace cajal::train
