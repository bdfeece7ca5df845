// Every option of a run with its value, as a checkpoint remembers it.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cajal/dtype.h"
#include "model/gpt_config.h"
#include "train/schedule.h"
#include "train/train_step.h"
#include "train/trainer.h"

namespace cajal::train {

struct Settings {
  std::string preset = "tiny";
  std::vector<std::string> data;  ///< As named by the user; empty: the C++ headers.
  DType dtype = DType::f32;
  StepShape shape;
  std::int64_t steps = 0;  ///< Total; 0: bounded by minutes.
  double minutes = 0.0;
  Schedule schedule;
  float clip = 1.0F;
  float weight_decay = 0.1F;
  float dropout = 0.0F;
  std::int64_t vocab_size = 0;  ///< Asked of a tokenizer to be trained.
  bool parse_special = true;    ///< Special tokens written in the text become the tokens.
  std::uint64_t seed = 1337;
};

/// A given option wins over `resumed`, that over the preset's recipe and the device's type. Throws
/// InvalidArgument naming the flag for values that cannot be.
Settings resolve_settings(const TrainOptions& options, const Settings* resumed);

/// For trainer_state.json.
nlohmann::json to_json(const Settings& settings);
/// Throws Error naming the field.
Settings settings_from_json(const nlohmann::json& object);

/// Throws InvalidArgument when these settings cannot train a model of this shape.
void require_fits(const Settings& settings, const model::GptConfig& config);

/// Throws InvalidArgument when a resumed run cannot change from `before` to `now`; returns warnings
/// for changes after which it no longer matches an uninterrupted run.
std::vector<std::string> check_resumed(const Settings& before, const Settings& now);

}  // namespace cajal::train
