#include "model/gpt_weights.h"

#include <fmt/format.h>

#include <cmath>

#include "model/gpt.h"

namespace cajal::model {

std::vector<BlockWeights> block_weights(const Parameters& parameters, std::int64_t layers) {
  std::vector<BlockWeights> blocks;
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    const auto find = [&](std::string_view suffix) {
      return &parameters[fmt::format("transformer.h.{}.{}", layer, suffix)];
    };
    blocks.push_back({
        .ln_1_weight = find("ln_1.weight"),
        .ln_1_bias = find("ln_1.bias"),
        .c_attn_weight = find("attn.c_attn.weight"),
        .c_attn_bias = find("attn.c_attn.bias"),
        .c_proj_weight = find("attn.c_proj.weight"),
        .c_proj_bias = find("attn.c_proj.bias"),
        .ln_2_weight = find("ln_2.weight"),
        .ln_2_bias = find("ln_2.bias"),
        .c_fc_weight = find("mlp.c_fc.weight"),
        .c_fc_bias = find("mlp.c_fc.bias"),
        .mlp_c_proj_weight = find("mlp.c_proj.weight"),
        .mlp_c_proj_bias = find("mlp.c_proj.bias"),
    });
  }
  return blocks;
}

std::vector<ParameterSpec> Gpt::parameter_specs(const GptConfig& config) {
  std::vector<ParameterSpec> specs;
  const float deviation = config.initializer_range;
  const auto matrix = [&](std::string name, std::int64_t rows, std::int64_t saved,
                          std::int64_t columns, float std) {
    specs.push_back({std::move(name), {rows, columns}, saved, Init::normal, std});
  };
  const auto vector = [&](std::string name, std::int64_t size, Init init) {
    specs.push_back({std::move(name), {size}, size, init, 0.0F});
  };
  const std::int64_t width = config.n_embd;
  matrix("transformer.wte.weight", config.padded_vocab_size(), config.vocab_size, width, deviation);
  matrix("transformer.wpe.weight", config.n_positions, config.n_positions, width, deviation);
  // Each block adds two branches to the stream; GPT-2 keeps its variance by scaling them at the
  // start.
  const float residual = deviation / std::sqrt(2.0F * static_cast<float>(config.n_layer));
  for (std::int64_t layer = 0; layer < config.n_layer; ++layer) {
    const std::string block = fmt::format("transformer.h.{}.", layer);
    const auto affine = [&](const char* name, std::int64_t in, std::int64_t out, float std) {
      matrix(block + name + ".weight", in, in, out, std);
      vector(block + name + ".bias", out, Init::zeros);
    };
    const auto norm = [&](const char* name) {
      vector(block + name + ".weight", width, Init::ones);
      vector(block + name + ".bias", width, Init::zeros);
    };
    norm("ln_1");
    affine("attn.c_attn", width, 3 * width, deviation);
    affine("attn.c_proj", width, width, residual);
    norm("ln_2");
    affine("mlp.c_fc", width, config.n_inner, deviation);
    affine("mlp.c_proj", config.n_inner, width, residual);
  }
  vector("transformer.ln_f.weight", width, Init::ones);
  vector("transformer.ln_f.bias", width, Init::zeros);
  return specs;
}

}  // namespace cajal::model
