// Attention cases, for the list and for tests of attention's own properties.
#pragma once

#include <cstdint>
#include <string>

#include "ops/cases.h"

namespace cajal::testing {

struct AttentionSize {
  std::int64_t batch = 1;
  std::int64_t tokens = 1;
  int heads = 1;
  std::int64_t width = 1;  ///< Of one head.
  DType dtype = DType::f32;
  float dropout = 0.0F;
  double spread = 1.0;  ///< Standard deviation of q, k and v.

  std::int64_t channels() const { return heads * width; }
  std::string name() const;
};

/// Tensors qkv and seed in, out and lse out.
OpCase attention_case(const AttentionSize& size);
/// Tensors qkv, out, lse, dout and seed in, dqkv out.
OpCase attention_backward_case(const AttentionSize& size);
/// Tensors qkv and position in, k_cache and v_cache [batch, capacity, channels] inout, out out.
OpCase cached_attention_case(const AttentionSize& size, std::int64_t capacity,
                             std::int64_t position);

}  // namespace cajal::testing
