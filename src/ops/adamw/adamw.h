// AdamW over all parameters in one launch, with clipping and the weight cast fused in.
#pragma once

#include <cstdint>

#include "cajal/command_buffer.h"
#include "cajal/tensor.h"

namespace cajal::ops {

/// Lives on the device as AdamWArgs::state; part of a checkpoint.
struct AdamWState {
  std::int32_t applied = 0;         ///< Updates done: t of the bias correction.
  std::int32_t skipped = 0;         ///< Updates skipped because the norm was not finite.
  std::int32_t skipped_in_row = 0;  ///< The last ones of them without an applied one between.
};

/// Lives on the device as AdamWArgs::hyper; the host refills it every step.
struct AdamWHyper {
  float learning_rate = 0.0F;
  float beta1 = 0.9F;
  float beta2 = 0.95F;
  float epsilon = 1e-8F;
  float weight_decay = 0.1F;
  float clip = 1.0F;  ///< Largest gradient norm; 0 turns clipping off.
};

/// Decoupled weight decay (Loshchilov and Hutter 2019), with g the clipped gradient
/// g = grad * min(1, clip / norm):
///   m = beta1 m + (1-beta1) g ;  v = beta2 v + (1-beta2) g^2
///   param -= lr * (m_hat / (sqrt(v_hat) + epsilon) + decay * param)
/// Only the first `decayed` elements decay: the arena holds matrices first. When norm is not finite
/// nothing but `state` changes.
struct AdamWArgs {
  Tensor param;    ///< [n] f32 master weights, in and out.
  Tensor grad;     ///< [n] f32.
  Tensor m;        ///< [n] f32, in and out.
  Tensor v;        ///< [n] f32, in and out.
  Tensor compute;  ///< Optional [n] bf16 out: param rounded, for the next forward pass.
  Tensor norm;     ///< [1] f32 from global_norm.
  Tensor hyper;    ///< sizeof(AdamWHyper) / 4 elements, f32.
  Tensor state;    ///< sizeof(AdamWState) / 4 elements, i32, in and out.
  std::int64_t decayed = 0;
};
void adamw(CommandBuffer& commands, const AdamWArgs& args);

}  // namespace cajal::ops
