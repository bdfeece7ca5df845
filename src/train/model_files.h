// A model's folder, checked as a whole before anything is done with it.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cajal/command_queue.h"
#include "data/tokenizer.h"
#include "model/gpt.h"
#include "model/gpt_config.h"
#include "train/model_weights.h"

namespace cajal::train {

inline constexpr const char* kConfigFile = "config.json";
inline constexpr const char* kTokenizerFile = "tokenizer.json";

/// A GPT-2 as transformers saves it, or a run of cajal: config.json, the weights in one file or in
/// shards that an index names, and the tokenizer where there is one. What opens here can be trained
/// on, saved, resumed and generated from. Names may lack "transformer."; weights may be F32, BF16
/// or F16, which become f32 without loss. Nothing in the folder is executed, and no name in it
/// leads out of it (train/model_directory.h).
class ModelFiles {
 public:
  /// Opens the newest checkpoint of a run by its name, and any other folder as it is.
  /// Reads config.json, the headers of all weights and the tokenizer; changes nothing. Throws
  /// InvalidArgument when the folder holds no model, else Error that names file and tensor:
  /// something is missing, of another shape or type, or would compute something else; a tokenizer
  /// with more tokens than the model.
  static ModelFiles open(const std::filesystem::path& directory);

  const model::GptConfig& config() const { return config_; }
  /// Null where the folder has none (a run on token shards).
  std::shared_ptr<const data::Tokenizer> tokenizer() const { return tokenizer_; }
  /// Throws InvalidArgument, with the remedy, where the folder has none.
  std::shared_ptr<const data::Tokenizer> require_tokenizer() const;
  /// What was passed over, one line each.
  const std::vector<std::string>& warnings() const { return weights_.warnings(); }

  /// Writes the weights to the device, with their bf16 copy and gradients of 0. Valid for whatever
  /// is committed later. Host memory for a piece at a time, not for the model. Throws Error when a
  /// weight is not finite, or a file is changed meanwhile.
  void load_weights(CommandQueue& queue, const model::Gpt& gpt) const;

 private:
  static ModelFiles open_folder(const std::filesystem::path& path,
                                const std::filesystem::path& folder);
  ModelFiles(ModelWeights weights, model::GptConfig config, std::filesystem::path directory);

  std::filesystem::path directory_;
  model::GptConfig config_;
  ModelWeights weights_;
  std::shared_ptr<const data::Tokenizer> tokenizer_;
};

}  // namespace cajal::train
