// Gradients of GPT-2, block by block from the loss to the embeddings.
#include "model/gpt.h"
#include "ops/attention/attention.h"
#include "ops/dropout/dropout.h"
#include "ops/embedding/embedding.h"
#include "ops/fill/fill.h"
#include "ops/layer_norm/layer_norm.h"
#include "ops/linear/linear.h"

namespace cajal::model {

struct Gpt::Backward {
  CommandBuffer& commands;
  const Dropout& dropout;
  bool accumulate;
  Tensor stream;  ///< Gradient of the residual stream, updated in place from the last block to the
                  ///< first.
};

/// Gradient of a branch's output: the stream's, through the branch's dropout site.
Tensor Gpt::branch_gradient(const Backward& pass, std::uint32_t site) const {
  if (pass.dropout.probability == 0.0F) return pass.stream;
  Tensor gradient = reserve("branch gradient", pass.stream.shape, dtype_);
  ops::dropout(pass.commands,
               {pass.stream, gradient, pass.dropout.seed, site, pass.dropout.probability});
  return gradient;
}

/// The bias of a branch's last layer where its gradient is the stream's, so that the norm whose
/// backward pass makes that gradient sums it; else nothing, and the layer sums its own.
Tensor Gpt::bias_of_stream(const Backward& pass, const Parameter& bias) {
  return pass.dropout.probability == 0.0F ? bias.grad : Tensor{};
}

/// The gradient that the layer itself sums, in the other case.
Tensor Gpt::own_bias(const Backward& pass, const Parameter& bias) {
  return pass.dropout.probability == 0.0F ? Tensor{} : bias.grad;
}

/// y = x W + b: gradients of W and b, and of x into a new tensor (through GELU where `pre_gelu` is
/// given). An empty `dbias` is not summed here.
Tensor Gpt::linear_backward(const Backward& pass, const Tensor& x, const Tensor& dy,
                            const Parameter& weight, const Tensor& dbias,
                            const Tensor& pre_gelu) const {
  ops::linear_backward_weight(
      pass.commands,
      {.x = x, .dy = dy, .dweight = weight.grad, .dbias = dbias, .accumulate = pass.accumulate});
  Tensor dx = reserve("gradient", x.shape, dtype_);
  ops::linear_backward_input(
      pass.commands,
      {.dy = dy, .weight = weight.compute, .dx = dx, .pre_gelu = pre_gelu, .fp8 = fp8_});
  return dx;
}

/// Adds a norm's gradient to the stream's, and sums that into `dbranch_bias` where it is given.
void Gpt::norm_backward(const Backward& pass, const NormActivations& norm, const Tensor& dy,
                        bool first, const Parameter& weight, const Parameter& bias,
                        const Tensor& dbranch_bias) const {
  ops::layer_norm_backward(pass.commands, {.dy = dy,
                                           .sum = norm.sum,
                                           .weight = weight.master,
                                           .mean = norm.mean,
                                           .rstd = norm.rstd,
                                           .dsum = first ? Tensor{} : pass.stream,
                                           .ds = pass.stream,
                                           .dweight = weight.grad,
                                           .dbias = bias.grad,
                                           .dbranch_bias = dbranch_bias,
                                           .accumulate = pass.accumulate});
}

/// `below` is the bias that the block's input ends in, if any (see bias_of_stream).
void Gpt::block_backward(const Backward& pass, const BlockWeights& weights,
                         const BlockActivations& block, std::uint32_t first_site,
                         const Tensor& below) const {
  const std::uint32_t attention_site = first_site;
  const std::uint32_t projection_site = first_site + 1;
  const std::uint32_t feed_forward_site = first_site + 2;

  Tensor dy = branch_gradient(pass, feed_forward_site);
  Tensor dx = linear_backward(pass, block.gelu, dy, *weights.mlp_c_proj_weight,
                              own_bias(pass, *weights.mlp_c_proj_bias), block.pre_gelu);
  dx = linear_backward(pass, block.ln_2.out, dx, *weights.c_fc_weight, weights.c_fc_bias->grad, {});
  norm_backward(pass, block.ln_2, dx, false, *weights.ln_2_weight, *weights.ln_2_bias,
                bias_of_stream(pass, *weights.c_proj_bias));

  dy = branch_gradient(pass, projection_site);
  dx = linear_backward(pass, block.attention, dy, *weights.c_proj_weight,
                       own_bias(pass, *weights.c_proj_bias), {});
  const Tensor dqkv = reserve("qkv gradient", block.qkv.shape, dtype_);
  ops::attention_backward(
      pass.commands, {.qkv = block.qkv,
                      .out = block.attention,
                      .lse = block.lse,
                      .dout = dx,
                      .dqkv = dqkv,
                      .heads = static_cast<int>(config_.n_head),
                      .dropout = {pass.dropout.probability, pass.dropout.seed, attention_site}});
  dx = linear_backward(pass, block.ln_1.out, dqkv, *weights.c_attn_weight,
                       weights.c_attn_bias->grad, {});
  norm_backward(pass, block.ln_1, dx, false, *weights.ln_1_weight, *weights.ln_1_bias, below);
}

void Gpt::backward(CommandBuffer& commands, const Activations& activations, bool accumulate) const {
  const Tensor& dlogits = activations.logits;
  const Tensor& normed = activations.ln_f.out;
  Backward pass{commands, activations.dropout, accumulate,
                reserve("stream gradient", normed.shape, dtype_)};

  const Tensor rows = normed.reshape({dlogits.dim(0), config_.n_embd});
  ops::linear_backward_weight(commands, {.x = rows,
                                         .dy = dlogits,
                                         .dweight = wte_->grad,
                                         .dbias = {},
                                         .accumulate = accumulate,
                                         .layout = ops::WeightLayout::out_in});
  const Tensor dnormed = reserve("gradient", normed.shape, dtype_);
  ops::linear_backward_input(commands, {.dy = dlogits,
                                        .weight = wte_->compute,
                                        .dx = dnormed.reshape(rows.shape),
                                        .pre_gelu = {},
                                        .layout = ops::WeightLayout::out_in});
  // What a norm adds up into was written by `layers` blocks, the last of them ending in this bias.
  const auto bias_below = [&](std::size_t layers) {
    return layers == 0 ? Tensor{} : bias_of_stream(pass, *blocks_[layers - 1].mlp_c_proj_bias);
  };
  norm_backward(pass, activations.ln_f, dnormed, /*first=*/true, *ln_f_weight_, *ln_f_bias_,
                bias_below(blocks_.size()));

  for (std::size_t layer = blocks_.size(); layer-- > 0;) {
    block_backward(pass, blocks_[layer], activations.blocks[layer],
                   1 + 3 * static_cast<std::uint32_t>(layer), bias_below(layer));
  }

  // The head has just written dwte, so the embedding adds to it; dwpe has no other source.
  if (!accumulate) ops::zero(commands, wpe_->grad);
  ops::embedding_backward(commands, {.tokens = activations.tokens,
                                     .dx = branch_gradient(pass, /*site=*/0),
                                     .dwte = wte_->grad,
                                     .dwpe = wpe_->grad});
}

}  // namespace cajal::model
