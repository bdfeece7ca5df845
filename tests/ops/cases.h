// The declarative list of operation cases: one list, three modes (compare, gradcheck, perf).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cajal/command_buffer.h"
#include "cajal/tensor.h"

namespace cajal::testing {

/// Values of named tensors in float64, as the references see them. Inputs are rounded to the
/// tensor's dtype before the reference sees them, so that only the operation's own error is left.
using Values = std::map<std::string, std::vector<double>>;
using Tensors = std::map<std::string, Tensor>;

enum class Role : std::uint8_t {
  input,   ///< Filled with fresh random values.
  output,  ///< Poisoned with NaN (integers: 0x7fffffff) first, compared afterwards.
  inout,   ///< Filled like an input, compared afterwards.
};

/// How an input is filled from the run's generator.
struct Fill {
  enum class Kind : std::uint8_t { normal, constant, integer, list } kind = Kind::normal;
  double a = 0.0;                ///< normal: mean; constant: the value; integer: lowest.
  double b = 1.0;                ///< normal: standard deviation; integer: highest, inclusive.
  double masked = 0.0;           ///< integer: share of elements that become -1 (padding).
  std::vector<double> values{};  ///< list: the elements, repeated until the tensor is full.
};

struct TensorSpec {
  std::string name;
  Shape shape;
  DType dtype = DType::f32;
  Role role = Role::input;
  Fill fill{};
  double tolerance =
      0.0;  ///< Outputs: largest |got - want| / (1 + |want|); 0 takes the dtype's default.
};

/// Records the operation on the given tensors.
using Encode = std::function<void(CommandBuffer&, const Tensors&)>;
/// Writes the expected outputs into `values`, which holds the inputs (and inouts before the call).
using Reference = std::function<void(Values& values)>;

/// Gradient check: `backward` takes d<output> = upstream and gives d<input>; compared with central
/// differences of sum(upstream * forward(inputs)) where forward is a float64 reference.
struct GradCheck {
  Reference forward;  ///< Inputs to outputs, float64.
  std::map<std::string, std::string>
      upstream;  ///< forward's output -> case's input that is its gradient.
  std::map<std::string, std::string>
      gradients;  ///< forward's input -> case's output that is its gradient.
  /// Case tensors that backward reads and forward makes (lse, mean, rstd, pre_gelu ...) are filled
  /// by running `forward` first: it writes them under their own name.
};

struct OpCase {
  std::string operation;  ///< "layer_norm"
  std::string variant;    ///< "bf16/N=7/C=50/residual": unique within the operation.
  std::vector<TensorSpec> tensors;
  Encode encode;
  Reference reference;               ///< Empty for cases that only check gradients or speed.
  std::vector<GradCheck> gradcheck;  ///< Empty or one.
  double flops = 0;                  ///< Of one run, for perf.
  double bytes = 0;                  ///< Moved at the least, for perf; 0: sum of all tensors.
  bool perf = false;                 ///< Take part in the benchmark.
};

/// One function per operation, in tests/ops/<operation>_cases.cpp.
std::vector<OpCase> embedding_cases();
std::vector<OpCase> linear_cases();
std::vector<OpCase> layer_norm_cases();
std::vector<OpCase> attention_cases();
std::vector<OpCase> gelu_cases();
std::vector<OpCase> cross_entropy_cases();
std::vector<OpCase> dropout_cases();
std::vector<OpCase> global_norm_cases();
std::vector<OpCase> adamw_cases();
std::vector<OpCase> fill_cases();
std::vector<OpCase> sampling_cases();
std::vector<OpCase> all_cases();

}  // namespace cajal::testing
