#include "train/settings.h"

#include <fmt/format.h>

#include <cmath>
#include <string_view>
#include <utility>

#include "cajal/error.h"
#include "model/presets.h"
#include "train/recipe.h"

namespace cajal::train {
namespace {

using nlohmann::json;

void require(bool condition, std::string_view flag, std::string_view problem,
             std::string_view remedy) {
  if (!condition) throw InvalidArgument(fmt::format("{} {}", flag, problem), remedy);
}

DType dtype_named(std::string_view name) {
  for (const DType dtype : {DType::bf16, DType::fp8}) {
    if (name == name_of(dtype)) return dtype;
  }
  return DType::f32;
}

Settings defaults_for(const std::string& preset) {
  const Recipe recipe = recipe_for(preset);
  const model::GptConfig& config = model::preset_config(preset);
  Settings settings;
  settings.preset = preset;
  settings.shape = {recipe.batch, config.n_positions, 1};
  settings.steps = recipe.steps;
  settings.schedule.peak = recipe.learning_rate;
  settings.schedule.warmup = recipe.warmup;
  settings.vocab_size = config.vocab_size;
  return settings;
}

void check_ranges(const Settings& s) {
  require(s.shape.batch > 0, "--batch", "must be at least 1", "");
  require(s.shape.seq > 0, "--seq", "must be at least 1", "");
  require(s.shape.accumulate > 0, "--accumulate", "must be at least 1", "");
  require(s.steps >= 0 && s.minutes >= 0.0, "--steps", "must be positive", "");
  require(s.steps > 0 || s.minutes > 0.0, "--steps", "or --minutes must say how long to train", "");
  require(std::isfinite(s.schedule.peak) && s.schedule.peak > 0.0F, "--lr",
          "must be a positive number", "");
  require(s.schedule.warmup >= 0, "--warmup", "must not be negative", "");
  require(std::isfinite(s.clip) && s.clip >= 0.0F, "--clip", "must be 0 or more",
          "0 turns clipping off");
  require(std::isfinite(s.weight_decay) && s.weight_decay >= 0.0F, "--weight-decay",
          "must be 0 or more", "");
  require(s.dropout >= 0.0F && s.dropout < 1.0F, "--dropout", "must be in [0, 1)", "");
}

/// Of a tokenizer to be trained; a model that is there already may have any.
void check_vocabulary(const Settings& s) {
  require(s.vocab_size >= 257 && s.vocab_size <= 65536, "--vocab-size",
          fmt::format("is {}", s.vocab_size), "choose 257 (256 bytes and end-of-text) to 65536");
}

/// Exactly that integer: nlohmann::json would make one of 1.5, and of 1e300.
template <class Integer>
Integer whole(const json& object, const char* name) {
  const json& value = object.at(name);
  const bool fits =
      value.is_number_unsigned()
          ? std::in_range<Integer>(value.get<std::uint64_t>())
          : value.is_number_integer() && std::in_range<Integer>(value.get<std::int64_t>());
  if (!fits) {
    throw Error(fmt::format("trainer_state.json: options: {} is no whole number", name),
                "resume from another checkpoint");
  }
  return value.get<Integer>();
}

std::string length_of(const Settings& s) {
  return s.steps > 0 ? fmt::format("{} steps", s.steps) : fmt::format("{:g} minutes", s.minutes);
}

}  // namespace

Settings resolve_settings(const TrainOptions& options, const Settings* resumed) {
  require(!(options.steps && options.minutes), "--steps", "and --minutes exclude each other",
          "give one");
  if (options.steps) require(*options.steps > 0, "--steps", "must be at least 1", "");
  if (options.minutes) {
    require(std::isfinite(*options.minutes) && *options.minutes > 0.0, "--minutes",
            "must be positive", "");
  }
  Settings s = resumed != nullptr ? *resumed : defaults_for(options.preset.value_or("tiny"));
  if (resumed == nullptr) s.dtype = default_dtype(options.device);
  if (options.preset) s.preset = *options.preset;
  if (!options.data.empty()) {
    s.data.clear();
    for (const auto& path : options.data) s.data.push_back(path.string());
  }
  if (options.steps) s.minutes = 0.0;
  if (options.minutes) s.steps = 0;
  s.steps = options.steps.value_or(s.steps);
  s.minutes = options.minutes.value_or(s.minutes);
  s.dtype = options.dtype.value_or(s.dtype);
  s.shape.batch = options.batch.value_or(s.shape.batch);
  s.shape.seq = options.seq.value_or(s.shape.seq);
  s.shape.accumulate = options.accumulate.value_or(s.shape.accumulate);
  s.schedule.kind = options.schedule.value_or(s.schedule.kind);
  s.schedule.peak = options.learning_rate.value_or(s.schedule.peak);
  s.schedule.warmup = options.warmup.value_or(s.schedule.warmup);
  s.schedule.steps = s.steps;
  s.clip = options.clip.value_or(s.clip);
  s.weight_decay = options.weight_decay.value_or(s.weight_decay);
  s.dropout = options.dropout.value_or(s.dropout);
  s.vocab_size = options.vocab_size.value_or(static_cast<int>(s.vocab_size));
  s.seed = options.seed.value_or(s.seed);
  s.parse_special = options.parse_special.value_or(s.parse_special);
  check_ranges(s);
  if (resumed == nullptr) check_vocabulary(s);
  return s;
}

json to_json(const Settings& s) {
  return {
      {"preset", s.preset},
      {"data", s.data},
      {"dtype", name_of(s.dtype)},
      {"batch", s.shape.batch},
      {"seq", s.shape.seq},
      {"accumulate", s.shape.accumulate},
      {"steps", s.steps},
      {"minutes", s.minutes},
      {"lr", s.schedule.peak},
      {"schedule", name_of(s.schedule.kind)},
      {"warmup", s.schedule.warmup},
      {"clip", s.clip},
      {"weight_decay", s.weight_decay},
      {"dropout", s.dropout},
      {"vocab_size", s.vocab_size},
      {"seed", s.seed},
      {"parse_special", s.parse_special},
  };
}

Settings settings_from_json(const json& object) {
  Settings s;
  try {
    s.preset = object.at("preset").get<std::string>();
    s.data = object.at("data").get<std::vector<std::string>>();
    s.dtype = dtype_named(object.at("dtype").get<std::string>());
    s.shape.batch = whole<std::int64_t>(object, "batch");
    s.shape.seq = whole<std::int64_t>(object, "seq");
    s.shape.accumulate = whole<std::int64_t>(object, "accumulate");
    s.steps = whole<std::int64_t>(object, "steps");
    s.minutes = object.at("minutes").get<double>();
    s.schedule.peak = object.at("lr").get<float>();
    s.schedule.kind = parse_schedule(object.at("schedule").get<std::string>());
    s.schedule.warmup = whole<std::int64_t>(object, "warmup");
    s.schedule.steps = s.steps;
    s.clip = object.at("clip").get<float>();
    s.weight_decay = object.at("weight_decay").get<float>();
    s.dropout = object.at("dropout").get<float>();
    s.vocab_size = whole<std::int64_t>(object, "vocab_size");
    s.seed = whole<std::uint64_t>(object, "seed");
    s.parse_special = object.value("parse_special", s.parse_special);
  } catch (const json::exception& problem) {
    throw Error(fmt::format("trainer_state.json: options: {}", problem.what()));
  }
  return s;
}

void require_fits(const Settings& settings, const model::GptConfig& config) {
  require(settings.shape.seq <= config.n_positions, "--seq",
          fmt::format("{} is longer than the model's {}", settings.shape.seq, config.n_positions),
          fmt::format("use --seq {} or less", config.n_positions));
}

std::vector<std::string> check_resumed(const Settings& before, const Settings& now) {
  const auto keep = [](bool same, std::string_view flag, const auto& old_value) {
    require(same, flag, "cannot change on resume",
            fmt::format("remove it, or use {} {}", flag, old_value));
  };
  keep(now.preset == before.preset, "--preset", before.preset);
  keep(now.vocab_size == before.vocab_size, "--vocab-size", before.vocab_size);
  keep(now.shape.seq == before.shape.seq, "--seq", before.shape.seq);
  keep(now.seed == before.seed, "--seed", before.seed);

  std::vector<std::string> warnings;
  const json was = to_json(before);
  const json is = to_json(now);
  const auto warn = [&](std::string_view what, const std::string& now_is, const std::string& then) {
    if (now_is == then) return;
    warnings.push_back(fmt::format(
        "{} is now {}, was {}: the run goes on, but not as it would have without the change", what,
        now_is, then));
  };
  warn("the run's length", length_of(now), length_of(before));
  for (const char* name : {"data", "dtype", "batch", "accumulate", "lr", "schedule", "warmup",
                           "clip", "weight_decay", "dropout", "parse_special"}) {
    warn(name, is.at(name).dump(), was.at(name).dump());
  }
  return warnings;
}

}  // namespace cajal::train
