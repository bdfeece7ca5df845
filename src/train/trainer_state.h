// trainer_state.json: what --resume needs besides tensors.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "data/loader.h"
#include "ops/adamw/adamw.h"
#include "train/checksum.h"

namespace cajal::train {

struct TrainerState {
  std::int64_t step = 0;  ///< Optimizer steps done.
  std::uint64_t seed = 0;
  /// What must not change on resume, by the name of its flag: {"batch": 8, "dtype": "fp32"}.
  nlohmann::json options = nlohmann::json::object();
  data::LoaderState loader;
  std::string text;  ///< TextSource::fingerprint of what the loader reads; empty in older states.
  ops::AdamWState optimizer;
  double seconds = 0.0;     ///< Spent training, over all resumes.
  std::int64_t tokens = 0;  ///< Trained on.
  std::optional<double> best_validation_loss;
  std::optional<double> last_validation_loss;
};

std::string to_json(const TrainerState& state);

/// `source` names the text in errors. Throws Error that names the first field that is missing, of
/// another type, out of range or unknown.
TrainerState trainer_state_from_json(std::string_view text, const std::string& source);

/// As trainer_state.json in `directory`. Throw Error.
ManifestEntry save_trainer_state(const TrainerState& state, const std::filesystem::path& directory);
TrainerState load_trainer_state(const std::filesystem::path& directory);

}  // namespace cajal::train
