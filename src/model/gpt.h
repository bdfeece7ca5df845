// GPT-2: forward, compute_loss and backward as recorded operations.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cajal/command_buffer.h"
#include "cajal/device.h"
#include "cajal/tensor.h"
#include "model/gpt_config.h"
#include "model/gpt_weights.h"
#include "model/parameters.h"

namespace cajal::model {

/// Dropout of embeddings, attention probabilities and residual branches, all with one probability.
struct Dropout {
  float probability = 0.0F;
  Tensor seed;  ///< [2] i32 on the device.
};

/// Keys and values of the tokens seen so far, for generation.
struct KvCache {
  std::vector<Tensor> k;  ///< One a layer, [B,P,C].
  std::vector<Tensor> v;
  Tensor position;  ///< [1] i32: tokens in the cache.
};

/// A layer norm's input, output and statistics.
struct NormActivations {
  Tensor sum;  ///< The residual stream that is normalised.
  Tensor out, mean, rstd;
};

/// What one block keeps for its backward pass.
struct BlockActivations {
  NormActivations ln_1;
  Tensor qkv, attention, lse;
  NormActivations ln_2;
  Tensor pre_gelu, gelu;
};

/// One recorded forward pass. Its memory is reserved, not allocated: a MemoryPlan places it.
struct Activations {
  Tensor tokens;
  std::vector<BlockActivations> blocks;
  NormActivations ln_f;
  Tensor logits;  ///< [rows, padded vocabulary]; compute_loss turns it into its own gradient.
  Dropout dropout;
};

/// Every member records into a command buffer and returns at once; results are valid on the device
/// for whatever is recorded later, and for the host once the committed buffer has completed.
class Gpt {
 public:
  /// Allocates the arenas of Parameters; weights are uninitialised. Throws InvalidArgument when the
  /// device cannot compute in `compute_dtype`, with the one to use instead.
  Gpt(std::shared_ptr<Device> device, GptConfig config, DType compute_dtype,
      Purpose purpose = Purpose::training);
  Gpt(const Gpt&) = delete;
  Gpt& operator=(const Gpt&) = delete;

  const GptConfig& config() const { return config_; }
  const Parameters& parameters() const { return parameters_; }
  Device& device() const { return *device_; }

  /// tokens: [B,T] i32, T <= n_positions.
  Activations forward(CommandBuffer& commands, const Tensor& tokens,
                      const Dropout& dropout = {}) const;

  /// One sequence's next tokens, [1,T]: appends to the cache; logits are those of the last token,
  /// [1,V].
  Activations forward_cached(CommandBuffer& commands, const Tensor& tokens,
                             const KvCache& cache) const;

  /// loss[0] += scale * sum of -log p(target); see ops/cross_entropy. With `with_gradient` the
  /// logits become dlogits in place, as backward needs them.
  void compute_loss(CommandBuffer& commands, const Activations& pass, const Tensor& targets,
                    const Tensor& scale, const Tensor& loss, bool with_gradient) const;

  /// Gradients of every parameter: added to the gradient arena (`accumulate`) or put in its place.
  void backward(CommandBuffer& commands, const Activations& pass, bool accumulate) const;

  /// An empty cache for one sequence of up to n_positions tokens.
  KvCache make_cache(const Tensor& position) const;

  static std::vector<ParameterSpec> parameter_specs(const GptConfig& config);

 private:
  struct Pass;      // what the recording of one forward pass carries along
  struct Backward;  // and of one backward pass

  Tensor reserve(const char* label, Shape shape, DType dtype) const;

  NormActivations record_norm(Pass& pass, const Parameter& weight, const Parameter& bias) const;
  void record_attention(Pass& pass, const BlockWeights& weights, BlockActivations& block) const;
  void record_feed_forward(Pass& pass, const BlockWeights& weights, BlockActivations& block) const;
  BlockActivations record_block(Pass& pass, const BlockWeights& weights) const;
  Activations record_forward(CommandBuffer& commands, const Tensor& tokens, const Dropout& dropout,
                             const KvCache* cache) const;

  Tensor branch_gradient(const Backward& pass, std::uint32_t site) const;
  static Tensor bias_of_stream(const Backward& pass, const Parameter& bias);
  static Tensor own_bias(const Backward& pass, const Parameter& bias);
  Tensor linear_backward(const Backward& pass, const Tensor& x, const Tensor& dy,
                         const Parameter& weight, const Tensor& dbias,
                         const Tensor& pre_gelu) const;
  void norm_backward(const Backward& pass, const NormActivations& norm, const Tensor& dy,
                     bool first, const Parameter& weight, const Parameter& bias,
                     const Tensor& dbranch_bias) const;
  void block_backward(const Backward& pass, const BlockWeights& weights,
                      const BlockActivations& block, std::uint32_t first_site,
                      const Tensor& below) const;

  std::shared_ptr<Device> device_;
  GptConfig config_;
  DType dtype_;  ///< Of activations.
  bool fp8_;     ///< The blocks' matrix products are in fp8; the head's are not.
  Parameters parameters_;
  std::vector<BlockWeights> blocks_;
  const Parameter* wte_;
  const Parameter* wpe_;
  const Parameter* ln_f_weight_;
  const Parameter* ln_f_bias_;
};

}  // namespace cajal::model
