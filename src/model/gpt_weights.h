// The parameters of a GPT-2 block, found once by name.
#pragma once

#include <cstdint>
#include <vector>

#include "model/parameters.h"

namespace cajal::model {

/// Names are Hugging Face's; weights are [in,out] ("Conv1D").
struct BlockWeights {
  const Parameter* ln_1_weight = nullptr;
  const Parameter* ln_1_bias = nullptr;
  const Parameter* c_attn_weight = nullptr;
  const Parameter* c_attn_bias = nullptr;
  const Parameter* c_proj_weight = nullptr;
  const Parameter* c_proj_bias = nullptr;
  const Parameter* ln_2_weight = nullptr;
  const Parameter* ln_2_bias = nullptr;
  const Parameter* c_fc_weight = nullptr;
  const Parameter* c_fc_bias = nullptr;
  const Parameter* mlp_c_proj_weight = nullptr;
  const Parameter* mlp_c_proj_bias = nullptr;
};

std::vector<BlockWeights> block_weights(const Parameters& parameters, std::int64_t layers);

}  // namespace cajal::model
