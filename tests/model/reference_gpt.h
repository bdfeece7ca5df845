// GPT-2 in float64, written from the paper's formulas and sharing nothing with the library.
#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <numbers>
#include <string>
#include <vector>

#include "model/gpt_config.h"

namespace cajal::testing {

using Matrix = std::vector<double>;  // row-major
using Weights = std::map<std::string, Matrix>;

class ReferenceGpt {
 public:
  ReferenceGpt(model::GptConfig config, Weights weights)
      : config_(config), weights_(std::move(weights)) {}

  Weights& weights() { return weights_; }

  /// Logits [seq, vocab] of one sequence.
  Matrix logits(const std::vector<std::int32_t>& tokens) const {
    const std::int64_t seq = static_cast<std::int64_t>(tokens.size());
    const std::int64_t width = config_.n_embd;
    const Matrix& wte = weight("wte.weight");
    const Matrix& wpe = weight("wpe.weight");
    Matrix x(static_cast<std::size_t>(seq * width));
    for (std::int64_t t = 0; t < seq; ++t) {
      for (std::int64_t c = 0; c < width; ++c)
        x[t * width + c] = wte[tokens[t] * width + c] + wpe[t * width + c];
    }
    for (std::int64_t layer = 0; layer < config_.n_layer; ++layer) block(x, seq, layer);
    const Matrix y = norm(x, width, "ln_f");
    Matrix out(static_cast<std::size_t>(seq * config_.vocab_size));
    for (std::int64_t t = 0; t < seq; ++t) {
      for (std::int64_t v = 0; v < config_.vocab_size; ++v) {
        double sum = 0;
        for (std::int64_t c = 0; c < width; ++c) sum += y[t * width + c] * wte[v * width + c];
        out[t * config_.vocab_size + v] = sum;
      }
    }
    return out;
  }

  /// Sum of -log p(target) over the targets that are not negative, and how many those are.
  std::pair<double, std::int64_t> loss_sum(const std::vector<std::int32_t>& tokens,
                                           const std::vector<std::int32_t>& targets) const {
    const Matrix z = logits(tokens);
    double sum = 0;
    std::int64_t count = 0;
    for (std::size_t t = 0; t < targets.size(); ++t) {
      if (targets[t] < 0) continue;
      const double* row = z.data() + t * config_.vocab_size;
      double total = 0;
      for (std::int64_t v = 0; v < config_.vocab_size; ++v) total += std::exp(row[v]);
      sum += std::log(total) - row[targets[t]];
      ++count;
    }
    return {sum, count};
  }

 private:
  const Matrix& weight(const std::string& name) const { return weights_.at("transformer." + name); }

  Matrix norm(const Matrix& x, std::int64_t width, const std::string& name) const {
    const Matrix& gain = weight(name + ".weight");
    const Matrix& bias = weight(name + ".bias");
    Matrix y(x.size());
    for (std::size_t row = 0; row < x.size(); row += width) {
      double mean = 0;
      double variance = 0;
      for (std::int64_t c = 0; c < width; ++c) mean += x[row + c] / static_cast<double>(width);
      for (std::int64_t c = 0; c < width; ++c)
        variance += (x[row + c] - mean) * (x[row + c] - mean) / static_cast<double>(width);
      const double scale =
          1.0 / std::sqrt(variance + static_cast<double>(config_.layer_norm_epsilon));
      for (std::int64_t c = 0; c < width; ++c)
        y[row + c] = (x[row + c] - mean) * scale * gain[c] + bias[c];
    }
    return y;
  }

  Matrix affine(const Matrix& x, std::int64_t in, std::int64_t out, const std::string& name) const {
    const Matrix& w = weight(name + ".weight");
    const Matrix& b = weight(name + ".bias");
    const std::int64_t rows = static_cast<std::int64_t>(x.size()) / in;
    Matrix y(static_cast<std::size_t>(rows * out));
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t o = 0; o < out; ++o) {
        double sum = b[o];
        for (std::int64_t i = 0; i < in; ++i) sum += x[r * in + i] * w[i * out + o];
        y[r * out + o] = sum;
      }
    }
    return y;
  }

  Matrix attention(const Matrix& qkv, std::int64_t seq) const {
    const std::int64_t width = config_.n_embd;
    const std::int64_t size = width / config_.n_head;
    Matrix out(static_cast<std::size_t>(seq * width), 0.0);
    for (std::int64_t head = 0; head < config_.n_head; ++head) {
      for (std::int64_t t = 0; t < seq; ++t) {
        const double* q = qkv.data() + t * 3 * width + head * size;
        Matrix p(static_cast<std::size_t>(t + 1));
        double total = 0;
        for (std::int64_t s = 0; s <= t; ++s) {
          const double* k = qkv.data() + s * 3 * width + width + head * size;
          double dot = 0;
          for (std::int64_t d = 0; d < size; ++d) dot += q[d] * k[d];
          total += p[s] = std::exp(dot / std::sqrt(static_cast<double>(size)));
        }
        for (std::int64_t s = 0; s <= t; ++s) {
          const double* v = qkv.data() + s * 3 * width + 2 * width + head * size;
          for (std::int64_t d = 0; d < size; ++d)
            out[t * width + head * size + d] += p[s] / total * v[d];
        }
      }
    }
    return out;
  }

  void block(Matrix& x, std::int64_t seq, std::int64_t layer) const {
    const std::string name = "h." + std::to_string(layer) + ".";
    const std::int64_t width = config_.n_embd;
    const Matrix qkv =
        affine(norm(x, width, name + "ln_1"), width, 3 * width, name + "attn.c_attn");
    add(x, affine(attention(qkv, seq), width, width, name + "attn.c_proj"));
    Matrix inner = affine(norm(x, width, name + "ln_2"), width, config_.n_inner, name + "mlp.c_fc");
    for (double& h : inner) {
      h = 0.5 * h *
          (1.0 + std::tanh(std::sqrt(2.0 / std::numbers::pi) * (h + 0.044715 * h * h * h)));
    }
    add(x, affine(inner, config_.n_inner, width, name + "mlp.c_proj"));
  }

  static void add(Matrix& x, const Matrix& branch) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += branch[i];
  }

  model::GptConfig config_;
  Weights weights_;
};

}  // namespace cajal::testing
