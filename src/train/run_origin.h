// What a run starts from: nothing, another run's weights, or its own last checkpoint.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "model/gpt_config.h"
#include "train/model_files.h"
#include "train/settings.h"
#include "train/trainer.h"
#include "train/trainer_state.h"

namespace cajal::train {

struct RunOrigin {
  std::optional<TrainerState> state;             ///< Of the run to be resumed.
  std::optional<std::filesystem::path> weights;  ///< Folder with a model to begin with.
  std::optional<ModelFiles> model;  ///< Opened there, checked; to be let go once loaded.
  Settings settings;
  model::GptConfig config;
  std::vector<std::string> warnings;
};

/// Reads what there is and changes nothing. Throws InvalidArgument with the flag at fault when the
/// options cannot be, Error when a file of the checkpoint is damaged.
RunOrigin find_origin(const TrainOptions& options);

}  // namespace cajal::train
