// Says before the first step whether a run fits, and what would.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cajal/device.h"
#include "model/gpt_config.h"
#include "train/train_step.h"

namespace cajal::train {

/// Throws InvalidArgument when weights, gradients and moments alone are more than the device has,
/// or the step's token ids beside them. Before anything is allocated.
void require_state_fits(const Device& device, const model::GptConfig& config, DType dtype,
                        const StepShape& shape);

/// Throws InvalidArgument when `activation_bytes`, planned for `shape`, do not fit beside the
/// state; names the largest batch that does (activations grow linearly with it), else a shorter
/// sequence.
void require_activations_fit(const Device& device, const model::GptConfig& config, DType dtype,
                             const StepShape& shape, std::size_t activation_bytes);

}  // namespace cajal::train
