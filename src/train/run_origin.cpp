#include "train/run_origin.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "cajal/error.h"
#include "model/presets.h"
#include "train/run_directory.h"

namespace cajal::train {
namespace {

namespace fs = std::filesystem;

void open_model(const fs::path& folder, RunOrigin& origin) {
  origin.model = ModelFiles::open(folder);
  origin.weights = folder;
  origin.config = origin.model->config();
  const auto& warnings = origin.model->warnings();
  origin.warnings.insert(origin.warnings.end(), warnings.begin(), warnings.end());
}

RunOrigin resumed(const TrainOptions& options) {
  if (options.init) throw InvalidArgument("--resume and --init exclude each other", "give one");
  // First of all: another training removes checkpoints while they are read.
  RunDirectory::require_unused(options.out);
  const auto latest = RunDirectory::find_whole(options.out);
  if (!latest) {
    throw InvalidArgument(
        fmt::format("{} holds no checkpoint to resume from", options.out.string()),
        "begin a run there without --resume");
  }
  RunOrigin origin;
  origin.state = load_trainer_state(*latest);
  const Settings saved = settings_from_json(origin.state->options);
  origin.settings = resolve_settings(options, &saved);
  origin.warnings = check_resumed(saved, origin.settings);
  open_model(*latest, origin);
  return origin;
}

/// The preset whose recipe suits a model from elsewhere: the smallest as wide and as deep.
std::string preset_like(const model::GptConfig& config) {
  const auto& presets = model::presets();
  const auto found = std::find_if(presets.begin(), presets.end(), [&](const model::Preset& preset) {
    return preset.config.n_embd >= config.n_embd && preset.config.n_layer >= config.n_layer;
  });
  return std::string(found == presets.end() ? presets.back().name : found->name);
}

RunOrigin fresh(const TrainOptions& options) {
  if (RunDirectory::find(options.out)) {
    throw InvalidArgument(fmt::format("{} already holds a run", options.out.string()),
                          "add --resume to go on with it, or name another --out");
  }
  RunOrigin origin;
  if (options.init) {
    open_model(*options.init, origin);
    TrainOptions like = options;
    like.preset = preset_like(origin.config);
    origin.settings = resolve_settings(like, nullptr);
    if (options.vocab_size && *options.vocab_size != origin.config.vocab_size) {
      throw InvalidArgument(fmt::format("--vocab-size {} is not that of {}", *options.vocab_size,
                                        options.init->string()),
                            fmt::format("remove it; the model has {}", origin.config.vocab_size));
    }
    origin.settings.vocab_size = origin.config.vocab_size;
    if (!options.seq) origin.settings.shape.seq = origin.config.n_positions;
  } else {
    origin.settings = resolve_settings(options, nullptr);
    origin.config = model::preset_config(origin.settings.preset);
    origin.config.vocab_size = origin.settings.vocab_size;
  }
  return origin;
}

}  // namespace

RunOrigin find_origin(const TrainOptions& options) {
  return options.resume ? resumed(options) : fresh(options);
}

}  // namespace cajal::train
