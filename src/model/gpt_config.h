// The shape of a GPT-2 model, in the words of Hugging Face's config.json.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cajal::model {

/// GPT-2 (Radford et al. 2019): pre-norm blocks, learnt positions, tanh GELU, the head tied to wte.
struct GptConfig {
  std::int64_t vocab_size = 1776;
  std::int64_t n_positions = 512;  ///< Longest sequence.
  std::int64_t n_embd = 512;       ///< Width.
  std::int64_t n_layer = 6;
  std::int64_t n_head = 8;
  std::int64_t n_inner = 2048;  ///< Width of the feed-forward layer.
  float layer_norm_epsilon = 1e-5F;
  float initializer_range = 0.02F;

  /// Throws InvalidArgument that names the field and a value that would do.
  void validate() const;

  /// Rows of wte on the device: vocab_size rounded up, because matrix products like round widths.
  /// The rows beyond vocab_size never take part in a result and are not saved.
  std::int64_t padded_vocab_size() const;

  /// Trainable numbers, padding left out; the tied head counts once.
  std::int64_t parameter_count() const;

  /// FLOP of one training step a token, (6 N + 12 L d T) with N without position embeddings
  /// (Chowdhery et al. 2022, appendix B).
  double training_flops_per_token(std::int64_t seq) const;

  friend bool operator==(const GptConfig&, const GptConfig&) = default;
};

/// config.json as transformers' GPT2LMHeadModel reads it.
std::string to_config_json(const GptConfig& config, std::int32_t end_of_text);

/// Fields that are left out or null have the values that transformers' GPT2Config gives them; what
/// changes nothing in the arithmetic is not looked at. Throws Error that names the field when the
/// text is no GPT-2 configuration that cajal can run.
GptConfig parse_config_json(std::string_view text, const std::string& source);

}  // namespace cajal::model
