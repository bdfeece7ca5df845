// Where a model and its optimizer begin: from a seed, or from the files of a checkpoint.
#pragma once

#include <filesystem>

#include "cajal/command_queue.h"
#include "model/gpt.h"
#include "ops/adamw/adamw.h"
#include "train/model_files.h"
#include "train/optimizer.h"

namespace cajal::train {

inline constexpr const char* kOptimizerFile = "optimizer.safetensors";

// What the moments' tensors are called, in front of their parameter's name.
inline constexpr const char* kFirstMoment = "exp_avg.";
inline constexpr const char* kSecondMoment = "exp_avg_sq.";

/// Writes weights drawn from `seed` to the device, with their bf16 copy. Valid for whatever is
/// committed later. Those of a folder: train/model_files.h.
void initialize_weights(CommandQueue& queue, const model::Gpt& gpt, std::uint64_t seed);

/// Zero moments and counters, or those of the checkpoint in `directory`.
void initialize_optimizer(CommandQueue& queue, const Optimizer& optimizer);
void load_optimizer(CommandQueue& queue, const model::Gpt& gpt, const Optimizer& optimizer,
                    const ops::AdamWState& state, const std::filesystem::path& directory);

}  // namespace cajal::train
