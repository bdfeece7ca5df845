// Model and optimizer, from the files of a checkpoint.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "cajal/command_queue.h"
#include "data/tokenizer.h"
#include "model/gpt.h"
#include "train/optimizer.h"
#include "train/trainer_state.h"

namespace cajal::train {

inline constexpr const char* kConfigFile = "config.json";
inline constexpr const char* kModelFile = "model.safetensors";
inline constexpr const char* kTokenizerFile = "tokenizer.json";
inline constexpr const char* kOptimizerFile = "optimizer.safetensors";

// What the moments' tensors are called, in front of their parameter's name.
inline constexpr const char* kFirstMoment = "exp_avg.";
inline constexpr const char* kSecondMoment = "exp_avg_sq.";

/// Configuration of the model in `directory`. Throws InvalidArgument when there is none.
model::GptConfig load_config(const std::filesystem::path& directory);

/// The directory's tokenizer, or nothing where it has none (a run on token shards).
std::optional<data::Tokenizer> load_tokenizer(const std::filesystem::path& directory);

/// Writes weights drawn from `seed`, resp. those of `directory`/model.safetensors, to the device,
/// with their bf16 copy. Valid for whatever is committed later.
void initialize_weights(CommandQueue& queue, const model::Gpt& gpt, std::uint64_t seed);
void load_weights(CommandQueue& queue, const model::Gpt& gpt,
                  const std::filesystem::path& directory);

/// Zero moments and counters, resp. those of the checkpoint in `directory`.
void initialize_optimizer(CommandQueue& queue, const Optimizer& optimizer);
void load_optimizer(CommandQueue& queue, const model::Gpt& gpt, const Optimizer& optimizer,
                    const ops::AdamWState& state, const std::filesystem::path& directory);

}  // namespace cajal::train
