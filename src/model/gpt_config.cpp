#include "model/gpt_config.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "cajal/error.h"

namespace cajal::model {
namespace {

using nlohmann::json;

constexpr std::int64_t kLargestDimension = std::int64_t{1} << 24;
constexpr std::int64_t kMostLayers = 4096;
constexpr double kMostParameters = 1e13;  // Counts and sizes in bytes stay far from overflow.

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

std::int64_t positive(const json& object, const char* field, const std::string& source) {
  const auto found = object.find(field);
  if (found == object.end()) {
    throw Error(fmt::format("{}: \"{}\" is missing", source, field),
                "use a config.json of a GPT-2 model");
  }
  if (!found->is_number_integer() || *found < 1 || *found > kLargestDimension) {
    throw Error(fmt::format("{}: \"{}\" must be a whole number from 1 to {}", source, field,
                            kLargestDimension));
  }
  return found->get<std::int64_t>();
}

float number_or(const json& object, const char* field, float fallback, const std::string& source) {
  const auto found = object.find(field);
  if (found == object.end() || found->is_null()) return fallback;
  if (!found->is_number()) throw Error(fmt::format("{}: \"{}\" must be a number", source, field));
  const auto value = found->get<double>();
  if (!(value > 0.0) || !std::isfinite(static_cast<float>(value))) {
    throw Error(fmt::format("{}: \"{}\" must be a positive number", source, field));
  }
  return static_cast<float>(value);
}

/// Refuses variants of GPT-2 that would load and compute something else.
void require_same_arithmetic(const json& object, const std::string& source) {
  const auto type = object.value("model_type", std::string("gpt2"));
  if (type != "gpt2") {
    throw Error(fmt::format("{}: model_type \"{}\" is not supported", source, type),
                "use a gpt2 model");
  }
  const auto activation = object.value("activation_function", std::string("gelu_new"));
  if (activation != "gelu_new" && activation != "gelu_pytorch_tanh") {
    throw Error(fmt::format("{}: activation_function \"{}\" is not supported", source, activation),
                "use a model with gelu_new");
  }
  const auto refuse = [&](const char* field, bool expected) {
    if (object.value(field, expected) != expected) {
      throw Error(fmt::format("{}: \"{}\" must be {}", source, field, expected));
    }
  };
  refuse("scale_attn_weights", true);
  refuse("scale_attn_by_inverse_layer_idx", false);
  refuse("tie_word_embeddings", true);
  refuse("add_cross_attention", false);
}

}  // namespace

void GptConfig::validate() const {
  const auto require_within = [](std::int64_t value, std::string_view field, std::int64_t most) {
    if (value < 1 || value > most) {
      throw InvalidArgument(fmt::format("model: {} is {}", field, value),
                            fmt::format("choose 1 to {}", most));
    }
  };
  const auto require_positive = [&](std::int64_t value, std::string_view field) {
    require_within(value, field, kLargestDimension);
  };
  require_positive(vocab_size, "vocab_size");
  require_positive(n_positions, "n_positions");
  require_positive(n_embd, "n_embd");
  require_within(n_layer, "n_layer", kMostLayers);
  require_positive(n_head, "n_head");
  require_positive(n_inner, "n_inner");
  if (n_embd % n_head != 0) {
    throw InvalidArgument(
        fmt::format("model: {} heads do not divide a width of {}", n_head, n_embd),
        "choose n_head so that n_embd is a multiple of it");
  }
  const auto width = static_cast<double>(n_embd);
  const double matrices =
      width * (static_cast<double>(vocab_size) + static_cast<double>(n_positions)) +
      static_cast<double>(n_layer) * width * (4.0 * width + 2.0 * static_cast<double>(n_inner));
  if (matrices > kMostParameters) {
    throw InvalidArgument(fmt::format("model: {:.1e} parameters", matrices),
                          "choose a smaller n_embd, n_inner or n_layer");
  }
}

std::int64_t GptConfig::padded_vocab_size() const {
  return round_up(vocab_size, vocab_size > 32768 ? 128 : 16);
}

std::int64_t GptConfig::parameter_count() const {
  const std::int64_t block = 4 * n_embd                   // two norms
                             + 3 * n_embd * (n_embd + 1)  // c_attn
                             + n_embd * (n_embd + 1)      // c_proj
                             + n_inner * (n_embd + 1)     // c_fc
                             + n_embd * (n_inner + 1);    // mlp.c_proj
  return vocab_size * n_embd + n_positions * n_embd + n_layer * block + 2 * n_embd;
}

double GptConfig::training_flops_per_token(std::int64_t seq) const {
  const auto n = static_cast<double>(parameter_count() - n_positions * n_embd);
  return 6.0 * n + 12.0 * static_cast<double>(n_layer * n_embd * seq);
}

std::string to_config_json(const GptConfig& config, std::int32_t end_of_text) {
  const json object = {
      {"architectures", {"GPT2LMHeadModel"}},
      {"model_type", "gpt2"},
      {"vocab_size", config.vocab_size},
      {"n_positions", config.n_positions},
      {"n_ctx", config.n_positions},
      {"n_embd", config.n_embd},
      {"n_layer", config.n_layer},
      {"n_head", config.n_head},
      {"n_inner", config.n_inner},
      {"activation_function", "gelu_new"},
      {"layer_norm_epsilon", config.layer_norm_epsilon},
      {"initializer_range", config.initializer_range},
      {"embd_pdrop", 0.0},
      {"attn_pdrop", 0.0},
      {"resid_pdrop", 0.0},
      {"tie_word_embeddings", true},
      {"bos_token_id", end_of_text},
      {"eos_token_id", end_of_text},
      {"torch_dtype", "float32"},
  };
  return object.dump(2) + "\n";
}

GptConfig parse_config_json(std::string_view text, const std::string& source) {
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) throw Error(fmt::format("{}: not a JSON object", source));
  try {
    require_same_arithmetic(object, source);
  } catch (const json::exception&) {
    throw Error(fmt::format("{}: a field has the wrong type", source));
  }
  GptConfig config;
  config.vocab_size = positive(object, "vocab_size", source);
  config.n_positions = positive(object, "n_positions", source);
  config.n_embd = positive(object, "n_embd", source);
  config.n_layer = positive(object, "n_layer", source);
  config.n_head = positive(object, "n_head", source);
  const auto inner = object.find("n_inner");
  config.n_inner = inner == object.end() || inner->is_null() ? 4 * config.n_embd
                                                             : positive(object, "n_inner", source);
  config.layer_norm_epsilon = number_or(object, "layer_norm_epsilon", 1e-5F, source);
  config.initializer_range = number_or(object, "initializer_range", 0.02F, source);
  config.validate();
  return config;
}

}  // namespace cajal::model
