#include "model/gpt_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "cajal/error.h"

namespace cajal::model {
namespace {

using nlohmann::json;

constexpr int kDeepest = 32;  // Levels of config.json; published ones have about 4.
constexpr std::int64_t kLargestDimension = std::int64_t{1} << 24;
constexpr std::int64_t kMostLayers = 4096;
constexpr double kMostParameters = 1e13;  // Counts and sizes in bytes stay far from overflow.

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// In quotes and escaped, so that an error stays one line whatever the file holds.
std::string shown(const json& value) {
  constexpr std::size_t kLongest = 80;
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  return text;
}

/// A config.json of GPT-2's, field by field. What transformers takes for a field that is left out
/// stands beside each; fields that change nothing in the arithmetic are not looked at.
class ConfigReader {
 public:
  ConfigReader(const json& object, const std::string& source) : object_(object), source_(source) {}

  GptConfig read() const {
    require_gpt2();
    require_same_arithmetic();
    GptConfig config;
    config.vocab_size = size("vocab_size", nullptr, 50257);
    config.n_positions = size("n_positions", "max_position_embeddings", 1024);
    config.n_embd = size("n_embd", "hidden_size", 768);
    config.n_layer = size("n_layer", "num_hidden_layers", 12);
    config.n_head = size("n_head", "num_attention_heads", 12);
    config.n_inner = size("n_inner", nullptr, 4 * config.n_embd);
    config.layer_norm_epsilon = positive_number("layer_norm_epsilon", 1e-5F);
    config.initializer_range = positive_number("initializer_range", 0.02F);
    return config;
  }

 private:
  [[noreturn]] void fail(std::string_view problem, std::string_view remedy = {}) const {
    throw Error(fmt::format("{}: {}", source_, problem), remedy);
  }

  /// What a field says; null where it is left out.
  const json& get(const char* field) const {
    static const json kNull;
    const auto found = object_.find(field);
    return found == object_.end() ? kNull : *found;
  }

  std::string text(const char* field, const char* fallback) const {
    const json& value = get(field);
    if (value.is_null()) return fallback;
    if (!value.is_string()) fail(fmt::format("\"{}\" must be a text, not {}", field, shown(value)));
    return value.get<std::string>();
  }

  /// Early GPT-2s do not say their type, but speak of n_embd, which few others do.
  void require_gpt2() const {
    constexpr std::string_view kRemedy = "use a model of type gpt2";
    const std::string type = text("model_type", "");
    if (type.empty() && get("n_embd").is_null()) fail("it says no model_type", kRemedy);
    if (!type.empty() && type != "gpt2") {
      fail(fmt::format("model_type {} is not supported", shown(type)), kRemedy);
    }
  }

  /// Refuses variants of GPT-2 that would load and compute something else.
  void require_same_arithmetic() const {
    const std::string activation = text("activation_function", "gelu_new");
    // Four names of the GELU with tanh; "gelu" alone is that with erf.
    constexpr std::array kTanhGelus{"gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_accurate"};
    if (std::ranges::find(kTanhGelus, activation) == kTanhGelus.end()) {
      fail(fmt::format("activation_function {} is not supported", shown(activation)),
           "use a model with gelu_new");
    }
    require_flag("scale_attn_weights", true);
    require_flag("scale_attn_by_inverse_layer_idx", false);
    require_flag("tie_word_embeddings", true);
    require_flag("add_cross_attention", false);
    if (!get("quantization_config").is_null()) {
      fail("its weights are quantised (\"quantization_config\")", "use the model's own weights");
    }
    if (const json& pruned = get("pruned_heads"); !pruned.is_null() && !pruned.empty()) {
      fail("heads are pruned (\"pruned_heads\")", "use the model as it was before");
    }
  }

  void require_flag(const char* field, bool expected) const {
    const auto found = object_.find(field);
    if (found == object_.end()) return;
    // Null is false in Python.
    const bool value = found->is_boolean() ? found->get<bool>() : false;
    if ((found->is_boolean() || found->is_null()) && value == expected) return;
    fail(fmt::format("\"{}\" is {}, and cajal computes with {}", field, shown(*found), expected),
         "use a model that was trained so");
  }

  /// `other` is the name that transformers understands for the same.
  std::int64_t size(const char* field, const char* other, std::int64_t fallback) const {
    static const json kNull;
    const json* value = &get(field);
    const json& second = other == nullptr ? kNull : get(other);
    if (value->is_null()) {
      value = &second;
    } else if (!second.is_null() && second != *value) {
      fail(fmt::format("\"{}\" is {} and \"{}\" is {}", field, shown(*value), other, shown(second)),
           "keep one of them");
    }
    if (value->is_null()) return fallback;
    if (!value->is_number_integer() || *value < 1 || *value > kLargestDimension) {
      fail(fmt::format("\"{}\" must be a whole number from 1 to {}, not {}", field,
                       kLargestDimension, shown(*value)));
    }
    return value->get<std::int64_t>();
  }

  float positive_number(const char* field, float fallback) const {
    const json& value = get(field);
    if (value.is_null()) return fallback;
    const float number = value.is_number() ? static_cast<float>(value.get<double>()) : 0.0F;
    if (!(number > 0.0F) || !std::isfinite(number)) {
      fail(fmt::format("\"{}\" must be a positive number, not {}", field, shown(value)));
    }
    return number;
  }

  const json& object_;
  const std::string& source_;
};

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
  // To print or copy a value takes stack for each level, so a deep one is refused while it is read.
  const auto check = [&](int depth, json::parse_event_t, json&) {
    if (depth > kDeepest) {
      throw Error(fmt::format("{}: nested too deep", source), "copy or download it again");
    }
    return true;
  };
  const json object = json::parse(text, check, /*allow_exceptions=*/false);
  if (!object.is_object()) {
    throw Error(fmt::format("{}: not a JSON object", source), "copy or download it again");
  }
  const GptConfig config = ConfigReader(object, source).read();
  try {
    config.validate();
  } catch (const InvalidArgument& problem) {
    throw Error(fmt::format("{}: {}", source, problem.what()));
  }
  return config;
}

}  // namespace cajal::model
