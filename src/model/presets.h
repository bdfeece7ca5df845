// Models by name.
#pragma once

#include <span>
#include <string_view>

#include "model/gpt_config.h"

namespace cajal::model {

struct Preset {
  std::string_view name;
  std::string_view purpose;
  GptConfig config;
};

std::span<const Preset> presets();

/// Throws InvalidArgument that lists the presets.
const GptConfig& preset_config(std::string_view name);

}  // namespace cajal::model
