#include "model/gpt.h"

#include <fmt/format.h>

#include <cmath>

#include "cajal/error.h"
#include "model/gpt_weights.h"
#include "ops/attention/attention.h"
#include "ops/cross_entropy/cross_entropy.h"
#include "ops/dropout/dropout.h"
#include "ops/embedding/embedding.h"
#include "ops/layer_norm/layer_norm.h"
#include "ops/linear/linear.h"

namespace cajal::model {

/// The residual stream and what each site needs, while one forward pass is recorded.
struct Gpt::Pass {
  CommandBuffer& commands;
  std::int64_t batch;
  std::int64_t seq;
  const Dropout& dropout;
  const KvCache* cache;
  Tensor stream;           ///< Sum of the embedding and every branch so far.
  Tensor branch;           ///< A branch's output that the next norm adds to the stream.
  std::uint32_t site = 0;  ///< Dropout sites recorded so far.
  std::size_t layer = 0;

  /// Applies the next dropout site to `x` in place.
  void drop(const Tensor& x) {
    const std::uint32_t stream_id = site++;
    if (dropout.probability == 0.0F) return;
    ops::dropout(commands, {x, x, dropout.seed, stream_id, dropout.probability});
  }
};

namespace {

DType supported(const Device& device, DType dtype) {
  if (dtype == DType::bf16 && !device.info().supports_bf16) {
    throw InvalidArgument(fmt::format("{} cannot compute in bf16", device.info().name),
                          device.info().bf16_remedy);
  }
  if (dtype == DType::fp8 && !device.info().supports_fp8) {
    throw InvalidArgument(fmt::format("{} cannot compute in fp8", device.info().name),
                          "use --dtype bf16 or fp32");
  }
  return dtype;
}

/// What activations and the weights' copy are stored in.
DType stored_in(DType compute_dtype) {
  return compute_dtype == DType::fp8 ? DType::bf16 : compute_dtype;
}

GptConfig validated(GptConfig config) {
  config.validate();
  return config;
}

}  // namespace

Gpt::Gpt(std::shared_ptr<Device> device, GptConfig config, DType compute_dtype, Purpose purpose)
    : device_(std::move(device)),
      config_(validated(std::move(config))),
      dtype_(stored_in(supported(*device_, compute_dtype))),
      fp8_(compute_dtype == DType::fp8),
      parameters_(*device_, parameter_specs(config_), dtype_, purpose),
      blocks_(block_weights(parameters_, config_.n_layer)),
      wte_(&parameters_["transformer.wte.weight"]),
      wpe_(&parameters_["transformer.wpe.weight"]),
      ln_f_weight_(&parameters_["transformer.ln_f.weight"]),
      ln_f_bias_(&parameters_["transformer.ln_f.bias"]) {}

Tensor Gpt::reserve(const char* label, Shape shape, DType dtype) const {
  const auto bytes = static_cast<std::size_t>(element_count(shape)) * size_of(dtype);
  return {device_->reserve(bytes, label), dtype, std::move(shape)};
}

NormActivations Gpt::record_norm(Pass& pass, const Parameter& weight, const Parameter& bias) const {
  NormActivations norm;
  const Shape statistics{pass.batch * pass.seq};
  norm.out = reserve("norm", pass.stream.shape, dtype_);
  norm.mean = reserve("norm mean", statistics, DType::f32);
  norm.rstd = reserve("norm rstd", statistics, DType::f32);

  ops::LayerNormArgs args;
  args.x = pass.stream;
  if (pass.branch) {
    args.x = pass.branch;
    args.residual = pass.stream;
    args.sum = pass.branch;  // the branch's own memory becomes the stream: one activation less
    pass.stream = pass.branch;
    pass.branch = {};
  }
  args.weight = weight.master;
  args.bias = bias.master;
  args.y = norm.out;
  args.mean = norm.mean;
  args.rstd = norm.rstd;
  args.epsilon = config_.layer_norm_epsilon;
  ops::layer_norm(pass.commands, args);
  norm.sum = pass.stream;
  return norm;
}

void Gpt::record_attention(Pass& pass, const BlockWeights& weights, BlockActivations& block) const {
  const std::int64_t width = config_.n_embd;
  block.qkv = reserve("qkv", {pass.batch, pass.seq, 3 * width}, dtype_);
  block.attention = reserve("attention", {pass.batch, pass.seq, width}, dtype_);
  ops::linear(pass.commands, {.x = block.ln_1.out,
                              .weight = weights.c_attn_weight->compute,
                              .bias = weights.c_attn_bias->compute,
                              .y = block.qkv,
                              .pre_gelu = {},
                              .fp8 = fp8_ && pass.cache == nullptr});
  const int heads = static_cast<int>(config_.n_head);
  const std::uint32_t stream = pass.site++;
  if (pass.cache != nullptr) {
    ops::cached_attention(pass.commands, {.qkv = block.qkv,
                                          .k_cache = pass.cache->k[pass.layer],
                                          .v_cache = pass.cache->v[pass.layer],
                                          .position = pass.cache->position,
                                          .out = block.attention,
                                          .heads = heads});
  } else {
    block.lse = reserve("attention lse", {pass.batch, config_.n_head, pass.seq}, DType::f32);
    ops::attention(pass.commands,
                   {.qkv = block.qkv,
                    .out = block.attention,
                    .lse = block.lse,
                    .heads = heads,
                    .dropout = {pass.dropout.probability, pass.dropout.seed, stream}});
  }
  pass.branch = reserve("attention projection", {pass.batch, pass.seq, width}, dtype_);
  ops::linear(pass.commands, {.x = block.attention,
                              .weight = weights.c_proj_weight->compute,
                              .bias = weights.c_proj_bias->compute,
                              .y = pass.branch,
                              .pre_gelu = {},
                              .fp8 = fp8_ && pass.cache == nullptr});
  pass.drop(pass.branch);
}

void Gpt::record_feed_forward(Pass& pass, const BlockWeights& weights,
                              BlockActivations& block) const {
  const Shape inner{pass.batch, pass.seq, config_.n_inner};
  block.pre_gelu = reserve("before GELU", inner, dtype_);
  block.gelu = reserve("GELU", inner, dtype_);
  ops::linear(pass.commands, {.x = block.ln_2.out,
                              .weight = weights.c_fc_weight->compute,
                              .bias = weights.c_fc_bias->compute,
                              .y = block.gelu,
                              .pre_gelu = block.pre_gelu,
                              .fp8 = fp8_ && pass.cache == nullptr});
  pass.branch = reserve("feed-forward projection", {pass.batch, pass.seq, config_.n_embd}, dtype_);
  ops::linear(pass.commands, {.x = block.gelu,
                              .weight = weights.mlp_c_proj_weight->compute,
                              .bias = weights.mlp_c_proj_bias->compute,
                              .y = pass.branch,
                              .pre_gelu = {},
                              .fp8 = fp8_ && pass.cache == nullptr});
  pass.drop(pass.branch);
}

BlockActivations Gpt::record_block(Pass& pass, const BlockWeights& weights) const {
  BlockActivations block;
  block.ln_1 = record_norm(pass, *weights.ln_1_weight, *weights.ln_1_bias);
  record_attention(pass, weights, block);
  block.ln_2 = record_norm(pass, *weights.ln_2_weight, *weights.ln_2_bias);
  record_feed_forward(pass, weights, block);
  ++pass.layer;
  return block;
}

Activations Gpt::record_forward(CommandBuffer& commands, const Tensor& tokens,
                                const Dropout& dropout, const KvCache* cache) const {
  const std::int64_t batch = tokens.dim(0);
  const std::int64_t seq = tokens.dim(1);
  if (seq > config_.n_positions) {
    throw InvalidArgument(fmt::format("a sequence of {} tokens is longer than the model's {}", seq,
                                      config_.n_positions),
                          fmt::format("use at most {}", config_.n_positions));
  }
  Pass pass{commands, batch, seq,
            dropout,  cache, reserve("embedding", {batch, seq, config_.n_embd}, dtype_),
            {}};
  ops::embedding(commands, {.tokens = tokens,
                            .wte = wte_->compute,
                            .wpe = wpe_->compute,
                            .x = pass.stream,
                            .position = cache != nullptr ? cache->position : Tensor{}});
  pass.drop(pass.stream);

  Activations result;
  result.tokens = tokens;
  result.dropout = dropout;
  for (const BlockWeights& weights : blocks_) result.blocks.push_back(record_block(pass, weights));
  result.ln_f = record_norm(pass, *ln_f_weight_, *ln_f_bias_);

  Tensor rows = result.ln_f.out.reshape({batch * seq, config_.n_embd});
  if (cache != nullptr) rows = rows.rows(batch * seq - 1, 1);
  result.logits = reserve("logits", {rows.dim(0), config_.padded_vocab_size()}, dtype_);
  ops::linear(commands, {.x = rows,
                         .weight = wte_->compute,
                         .bias = {},
                         .y = result.logits,
                         .pre_gelu = {},
                         .layout = ops::WeightLayout::out_in});
  return result;
}

Activations Gpt::forward(CommandBuffer& commands, const Tensor& tokens,
                         const Dropout& dropout) const {
  return record_forward(commands, tokens, dropout, nullptr);
}

Activations Gpt::forward_cached(CommandBuffer& commands, const Tensor& tokens,
                                const KvCache& cache) const {
  if (tokens.dim(0) != 1)
    throw InvalidArgument("a key-value cache holds one sequence", "use a batch of 1");
  return record_forward(commands, tokens, {}, &cache);
}

KvCache Gpt::make_cache(const Tensor& position) const {
  KvCache cache;
  cache.position = position;
  const Shape shape{1, config_.n_positions, config_.n_embd};
  const auto bytes = static_cast<std::size_t>(element_count(shape)) * size_of(dtype_);
  for (std::int64_t layer = 0; layer < config_.n_layer; ++layer) {
    cache.k.emplace_back(device_->allocate(bytes, "key cache"), dtype_, shape);
    cache.v.emplace_back(device_->allocate(bytes, "value cache"), dtype_, shape);
  }
  return cache;
}

void Gpt::compute_loss(CommandBuffer& commands, const Activations& pass, const Tensor& targets,
                       const Tensor& scale, const Tensor& loss, bool with_gradient) const {
  ops::cross_entropy(commands, {.logits = pass.logits,
                                .targets = targets,
                                .scale = scale,
                                .loss = loss,
                                .dlogits = with_gradient ? pass.logits : Tensor{},
                                .vocab = config_.vocab_size});
}

}  // namespace cajal::model
