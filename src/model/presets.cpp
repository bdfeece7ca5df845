#include "model/presets.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "cajal/error.h"

namespace cajal::model {
namespace {

constexpr std::int64_t kGpt2Vocabulary = 50257;

constexpr GptConfig shape(std::int64_t vocab, std::int64_t positions, std::int64_t width,
                          std::int64_t layers, std::int64_t heads) {
  GptConfig config;
  config.vocab_size = vocab;
  config.n_positions = positions;
  config.n_embd = width;
  config.n_layer = layers;
  config.n_head = heads;
  config.n_inner = 4 * width;
  return config;
}

constexpr std::array kPresets{
    Preset{"tiny", "learns readable text in two minutes on two cores", shape(1776, 128, 192, 4, 6)},
    Preset{"cajal-20m", "the model that this project began with", shape(1776, 512, 512, 6, 8)},
    Preset{"gpt2-124m", "GPT-2 small", shape(kGpt2Vocabulary, 1024, 768, 12, 12)},
    Preset{"gpt2-350m", "GPT-2 medium", shape(kGpt2Vocabulary, 1024, 1024, 24, 16)},
    Preset{"gpt2-774m", "GPT-2 large", shape(kGpt2Vocabulary, 1024, 1280, 36, 20)},
    Preset{"gpt2-1558m", "GPT-2 XL", shape(kGpt2Vocabulary, 1024, 1600, 48, 25)},
};

}  // namespace

std::span<const Preset> presets() { return kPresets; }

const GptConfig& preset_config(std::string_view name) {
  const auto found = std::find_if(kPresets.begin(), kPresets.end(),
                                  [&](const Preset& preset) { return preset.name == name; });
  if (found == kPresets.end()) {
    std::string names;
    for (const Preset& preset : kPresets)
      names += fmt::format("{}{}", names.empty() ? "" : ", ", preset.name);
    throw InvalidArgument(fmt::format("no preset \"{}\"", name),
                          fmt::format("choose one of {}", names));
  }
  return found->config;
}

}  // namespace cajal::model
