#include "train/trainer_state.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <set>

#include "cajal/error.h"
#include "train/durable_file.h"

namespace cajal::train {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::string_view kFileName = "trainer_state.json";
constexpr int kFormat = 1;

/// Takes fields out of one JSON object; what nobody took is an error.
class Fields {
 public:
  Fields(const json& object, std::string prefix, const std::string& source)
      : object_(object), prefix_(std::move(prefix)), source_(source) {
    if (!object.is_object()) fail(prefix_.empty() ? "it" : prefix_, "is no object");
  }

  Fields object(const char* name) { return Fields(take(name), path(name) + ".", source_); }

  const json& any_object(const char* name) {
    const json& value = take(name);
    if (!value.is_object()) fail(path(name), "is no object");
    return value;
  }

  /// From 0 to what Integer holds.
  template <class Integer>
  Integer count(const char* name) {
    const json& value = take(name);
    if (!value.is_number_unsigned() ||
        value.get<std::uint64_t>() >
            static_cast<std::uint64_t>(std::numeric_limits<Integer>::max())) {
      fail(path(name), fmt::format("is {}, not a whole number from 0 to {}", shown(value),
                                   std::numeric_limits<Integer>::max()));
    }
    return static_cast<Integer>(value.get<std::uint64_t>());
  }

  double number(const char* name) {
    const json& value = take(name);
    if (!value.is_number() || !std::isfinite(value.get<double>()) || value.get<double>() < 0.0) {
      fail(path(name), fmt::format("is {}, not a number from 0", shown(value)));
    }
    return value.get<double>();
  }

  std::optional<double> number_or_null(const char* name) {
    const auto found = object_.find(name);
    if (found == object_.end() || !found->is_null()) return number(name);
    taken_.insert(name);
    return std::nullopt;
  }

  std::string text_or(const char* name, std::string fallback) {
    if (!object_.contains(name)) return fallback;
    const json& value = take(name);
    if (!value.is_string()) fail(path(name), "is no text");
    return value.get<std::string>();
  }

  void no_more() const {
    for (const auto& [name, value] : object_.items()) {
      if (!taken_.contains(name)) fail(path(shown(name)), "is unknown");
    }
  }

  [[noreturn]] void fail(std::string_view field, std::string_view problem) const {
    throw Error(fmt::format("{}: {} {}", source_, field, problem),
                "it was damaged or written by another version of cajal");
  }

 private:
  const json& take(const char* name) {
    const auto found = object_.find(name);
    if (found == object_.end()) fail(path(name), "is missing");
    taken_.insert(name);
    return *found;
  }

  std::string path(std::string_view name) const { return fmt::format("{}{}", prefix_, name); }

  static std::string shown(const json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
  }

  const json& object_;
  std::string prefix_;
  const std::string& source_;
  std::set<std::string> taken_;
};

/// {"options": {"data": [text]}} is the deepest that there is. Copying and printing a value call
/// themselves for every level, so a deep one is refused while it is read.
constexpr int kDeepest = 4;

json parse(std::string_view text, const std::string& source) {
  const auto check = [&](int depth, json::parse_event_t, json&) {
    if (depth > kDeepest) {
      throw Error(fmt::format("{} is nested too deep", source), "resume from another checkpoint");
    }
    return true;
  };
  try {
    return json::parse(text, check);
  } catch (const json::exception&) {
    throw Error(fmt::format("{} is no whole JSON file", source), "resume from another checkpoint");
  }
}

ordered_json or_null(const std::optional<double>& value) {
  return value && std::isfinite(*value) ? ordered_json(*value) : ordered_json(nullptr);
}

}  // namespace

std::string to_json(const TrainerState& state) {
  ordered_json object;
  object["format"] = kFormat;
  object["step"] = state.step;
  object["seed"] = state.seed;
  object["options"] = state.options;
  object["loader"] = {{"epoch", state.loader.epoch}, {"window", state.loader.window}};
  object["text"] = state.text;
  object["optimizer"] = {{"applied", state.optimizer.applied},
                         {"skipped", state.optimizer.skipped},
                         {"skipped_in_row", state.optimizer.skipped_in_row}};
  object["seconds"] = state.seconds;
  object["tokens"] = state.tokens;
  object["best_validation_loss"] = or_null(state.best_validation_loss);
  object["last_validation_loss"] = or_null(state.last_validation_loss);
  return object.dump(2) + '\n';
}

TrainerState trainer_state_from_json(std::string_view text, const std::string& source) {
  const json root = parse(text, source);
  Fields fields(root, "", source);
  if (const int format = fields.count<int>("format"); format != kFormat) {
    fields.fail("format", fmt::format("is {}, and this cajal reads {}", format, kFormat));
  }
  TrainerState state;
  state.step = fields.count<std::int64_t>("step");
  state.seed = fields.count<std::uint64_t>("seed");
  state.options = fields.any_object("options");
  Fields loader = fields.object("loader");
  state.loader.epoch = loader.count<std::int64_t>("epoch");
  state.loader.window = loader.count<std::int64_t>("window");
  loader.no_more();
  state.text = fields.text_or("text", "");
  Fields optimizer = fields.object("optimizer");
  state.optimizer.applied = optimizer.count<std::int32_t>("applied");
  state.optimizer.skipped = optimizer.count<std::int32_t>("skipped");
  state.optimizer.skipped_in_row = optimizer.count<std::int32_t>("skipped_in_row");
  optimizer.no_more();
  state.seconds = fields.number("seconds");
  state.tokens = fields.count<std::int64_t>("tokens");
  state.best_validation_loss = fields.number_or_null("best_validation_loss");
  state.last_validation_loss = fields.number_or_null("last_validation_loss");
  fields.no_more();
  return state;
}

ManifestEntry save_trainer_state(const TrainerState& state,
                                 const std::filesystem::path& directory) {
  return write_file_atomically(directory / kFileName, to_json(state));
}

TrainerState load_trainer_state(const std::filesystem::path& directory) {
  const std::filesystem::path file = directory / kFileName;
  return trainer_state_from_json(read_file(file), file.string());
}

}  // namespace cajal::train
