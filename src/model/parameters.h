// A model's weights and gradients, by name, in contiguous arenas.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cajal/device.h"
#include "cajal/tensor.h"

namespace cajal::model {

enum class Init : std::uint8_t { normal, ones, zeros };

struct ParameterSpec {
  std::string name;             ///< As in Hugging Face's model.safetensors.
  Shape shape;                  ///< On the device; the first dimension may be padded.
  std::int64_t saved_rows = 0;  ///< Rows of the first dimension that a checkpoint holds.
  Init init = Init::normal;
  float deviation = 0.02F;  ///< Of a normal init.

  /// Matrices decay, vectors do not (Loshchilov and Hutter 2019; GPT-2's and nanoGPT's practice).
  bool decays() const { return shape.size() >= 2; }
};

struct Parameter {
  ParameterSpec spec;
  std::int64_t offset = 0;  ///< Elements from the arena's start.
  Tensor master;            ///< f32: what the optimizer updates.
  Tensor grad;              ///< f32; absent for inference.
  Tensor compute;           ///< What matrix products read: bf16, or master itself in fp32.

  /// The part that checkpoints hold.
  Shape saved_shape() const;
};

enum class Purpose : std::uint8_t {
  training,
  inference,  ///< No gradients.
};

/// Three arenas (weights, gradients, and a bf16 copy where products run in bf16), so that clipping
/// and AdamW are one launch each. Matrices come first: everything before decayed() decays. Every
/// parameter starts at a multiple of 64 bytes; the gap before it stays 0 for ever.
class Parameters {
 public:
  /// Allocates; weights are uninitialised until initial_values() or a checkpoint's are written to
  /// them.
  Parameters(Device& device, std::vector<ParameterSpec> specs, DType compute_dtype,
             Purpose purpose);

  const Parameter& operator[](std::string_view name) const;  ///< Throws Error when there is none.
  const std::vector<Parameter>& all() const { return parameters_; }
  DType compute_dtype() const { return compute_dtype_; }

  std::int64_t size() const { return size_; }        ///< Elements of an arena, padding included.
  std::int64_t decayed() const { return decayed_; }  ///< The first elements, which decay.

  const Tensor& master() const { return master_; }    ///< [size] f32.
  const Tensor& grad() const { return grad_; }        ///< [size] f32, or absent for inference.
  const Tensor& compute() const { return compute_; }  ///< [size] bf16, or absent in fp32.

  /// The arena's contents for `seed`: a function of seed, name order and shapes alone. Padding is
  /// 0.
  std::vector<float> initial_values(std::uint64_t seed) const;

  /// Elements of an arena for these parameters, padding included.
  static std::int64_t arena_elements(const std::vector<ParameterSpec>& specs);

 private:
  std::vector<Parameter> parameters_;
  std::unordered_map<std::string, std::size_t> index_;
  DType compute_dtype_;
  std::int64_t size_ = 0;
  std::int64_t decayed_ = 0;
  Tensor master_;
  Tensor grad_;
  Tensor compute_;
};

}  // namespace cajal::model
