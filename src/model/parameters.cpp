#include "model/parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "cajal/error.h"
#include "ops/philox.h"

namespace cajal::model {
namespace {

constexpr std::int64_t kAlignment = 16;  // elements: 64 bytes of f32

std::int64_t aligned(std::int64_t elements) {
  return (elements + kAlignment - 1) / kAlignment * kAlignment;
}

std::vector<ParameterSpec> matrices_first(std::vector<ParameterSpec> specs) {
  std::stable_partition(specs.begin(), specs.end(),
                        [](const ParameterSpec& spec) { return spec.decays(); });
  return specs;
}

Tensor view(const Tensor& arena, std::int64_t offset, const Shape& shape) {
  const std::size_t width = size_of(arena.dtype);
  const auto first = static_cast<std::size_t>(offset) * width;
  const auto bytes = static_cast<std::size_t>(element_count(shape)) * width;
  return {arena.buffer.slice(first, bytes), arena.dtype, shape};
}

/// Normal numbers by Box and Muller: std::normal_distribution differs from library to library.
void fill_normal(float* values, std::int64_t count, float deviation, std::uint64_t seed,
                 std::uint32_t stream) {
  const auto uniform = [](std::uint32_t word) {
    return (static_cast<double>(word) + 0.5) * 0x1p-32;
  };
#pragma omp parallel for  // A number depends on its counter alone, not on the thread.
  for (std::int64_t i = 0; i < count; i += 2) {
    const auto pair = static_cast<std::uint64_t>(i / 2);
    const auto words = ops::philox4x32(
        {static_cast<std::uint32_t>(pair), static_cast<std::uint32_t>(pair >> 32), stream, 1U},
        {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
    const double radius = std::sqrt(-2.0 * std::log(uniform(words[0])));
    const double angle = 2.0 * std::numbers::pi * uniform(words[1]);
    values[i] = static_cast<float>(radius * std::cos(angle)) * deviation;
    if (i + 1 < count) values[i + 1] = static_cast<float>(radius * std::sin(angle)) * deviation;
  }
}

}  // namespace

Shape Parameter::saved_shape() const {
  Shape shape = spec.shape;
  shape[0] = spec.saved_rows;
  return shape;
}

std::int64_t Parameters::arena_elements(const std::vector<ParameterSpec>& specs) {
  std::int64_t elements = 0;
  for (const ParameterSpec& spec : specs) elements += aligned(element_count(spec.shape));
  return elements;
}

Parameters::Parameters(Device& device, std::vector<ParameterSpec> specs, DType compute_dtype,
                       Purpose purpose)
    : compute_dtype_(compute_dtype), size_(arena_elements(specs)) {
  const auto arena = [&](DType dtype, const char* label) {
    return Tensor(device.allocate(static_cast<std::size_t>(size_) * size_of(dtype), label), dtype,
                  {size_});
  };
  master_ = arena(DType::f32, "weights");
  if (purpose == Purpose::training) grad_ = arena(DType::f32, "gradients");
  if (compute_dtype == DType::bf16) compute_ = arena(DType::bf16, "weights in bf16");

  std::int64_t offset = 0;
  for (ParameterSpec& spec : matrices_first(std::move(specs))) {
    Parameter parameter;
    parameter.offset = offset;
    parameter.master = view(master_, offset, spec.shape);
    if (grad_) parameter.grad = view(grad_, offset, spec.shape);
    parameter.compute = compute_ ? view(compute_, offset, spec.shape) : parameter.master;
    offset += aligned(element_count(spec.shape));
    if (spec.decays()) decayed_ = offset;
    index_.emplace(spec.name, parameters_.size());
    parameter.spec = std::move(spec);
    parameters_.push_back(std::move(parameter));
  }
}

const Parameter& Parameters::operator[](std::string_view name) const {
  const auto found = index_.find(std::string(name));
  if (found == index_.end()) throw Error(fmt::format("the model has no parameter \"{}\"", name));
  return parameters_[found->second];
}

std::vector<float> Parameters::initial_values(std::uint64_t seed) const {
  std::vector<float> values(static_cast<std::size_t>(size_), 0.0F);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& parameter = parameters_[i];
    const std::int64_t count = element_count(parameter.saved_shape());
    float* first = values.data() + parameter.offset;
    if (parameter.spec.init == Init::ones) std::fill_n(first, count, 1.0F);
    if (parameter.spec.init == Init::normal) {
      fill_normal(first, count, parameter.spec.deviation, seed, static_cast<std::uint32_t>(i));
    }
  }
  return values;
}

}  // namespace cajal::model
