// AdamW with its moments, over a model's arenas.
#pragma once

#include "cajal/command_buffer.h"
#include "cajal/device.h"
#include "cajal/tensor.h"
#include "model/parameters.h"

namespace cajal::train {

/// Owns the two moment arenas and the update counters. Records only; see ops/adamw for the formula.
class Optimizer {
 public:
  Optimizer(Device& device, const model::Parameters& parameters);

  /// Global norm, clipping, update of master weights and of the bf16 copy, all on the device. A
  /// norm that is not finite leaves everything but state() as it is. hyper: an ops::AdamWHyper.
  void optimizer_step(CommandBuffer& commands, const Tensor& hyper) const;

  const Tensor& m() const { return m_; }  ///< [n] f32, first moment.
  const Tensor& v() const { return v_; }  ///< [n] f32, second moment.
  const Tensor& norm() const {
    return norm_;
  }  ///< [1] f32: the last step's gradient norm before clipping.
  const Tensor& state() const { return state_; }  ///< ops::AdamWState.

  /// Bytes on the device for `elements` weights, the model's own arenas included.
  static std::size_t training_bytes(std::int64_t elements, DType compute_dtype);

 private:
  const model::Parameters* parameters_;
  Tensor m_;
  Tensor v_;
  Tensor norm_;
  Tensor state_;
};

}  // namespace cajal::train
