// Model and optimizer, to and from the files of a checkpoint.
#pragma once

#include <filesystem>

#include "cajal/command_queue.h"
#include "data/tokenizer.h"
#include "model/gpt.h"
#include "train/model_files.h"
#include "train/optimizer.h"
#include "train/trainer_state.h"

namespace cajal::train {

inline constexpr const char* kOptimizerFile = "optimizer.safetensors";

/// Writes weights drawn from `seed` to the device, with their bf16 copy. Valid for whatever is
/// committed later. Those of a folder: train/model_files.h.
void initialize_weights(CommandQueue& queue, const model::Gpt& gpt, std::uint64_t seed);

/// Zero moments and counters, resp. those of the checkpoint in `directory`.
void initialize_optimizer(CommandQueue& queue, const Optimizer& optimizer);
void load_optimizer(CommandQueue& queue, const model::Gpt& gpt, const Optimizer& optimizer,
                    const ops::AdamWState& state, const std::filesystem::path& directory);

/// Everything of one checkpoint into an existing folder, as the device holds it after the work
/// committed so far: waits for that (checkpoint). Files are on the disk when it returns. Throws
/// Error rather than save weights that are not finite.
void save_checkpoint(CommandQueue& queue, const model::Gpt& gpt, const Optimizer& optimizer,
                     const data::Tokenizer* tokenizer, const TrainerState& state,
                     const std::filesystem::path& directory);

}  // namespace cajal::train
