// Central differences of a float64 forward pass against a backward operation on a device.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "ops/harness.h"

namespace cajal::testing {
namespace {

constexpr double kStep = 1e-4;
constexpr std::size_t kSampledElements = 12;
constexpr int kDirections = 2;

const TensorSpec& spec_named(const OpCase& op_case, const std::string& name) {
  return *std::find_if(op_case.tensors.begin(), op_case.tensors.end(),
                       [&](const TensorSpec& spec) { return spec.name == name; });
}

/// sum(upstream * forward(inputs)), with inputs[name] moved by step * direction.
double loss(const GradCheck& check, Values inputs, const std::string& name,
            const std::vector<double>& direction, double step) {
  auto& moved = inputs.at(name);
  for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += step * direction[i];
  check.forward(inputs);
  double sum = 0.0;
  for (const auto& [output, upstream] : check.upstream) {
    const auto& values = inputs.at(output);
    const auto& weights = inputs.at(upstream);
    for (std::size_t i = 0; i < values.size(); ++i) sum += values[i] * weights[i];
  }
  return sum;
}

/// Compares the slope of the loss along `direction` with what the gradient says it is.
std::optional<std::string> check_direction(const GradCheck& check, const Values& inputs,
                                           const std::string& name,
                                           const std::vector<double>& direction,
                                           const std::vector<double>& gradient, double tolerance) {
  const double want =
      (loss(check, inputs, name, direction, kStep) - loss(check, inputs, name, direction, -kStep)) /
      (2.0 * kStep);
  double got = 0.0;
  double allowed = 0.0;
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    got += gradient[i] * direction[i];
    allowed += std::pow(direction[i] * (1.0 + std::abs(gradient[i])), 2);
  }
  // Errors of many elements add up like a random walk; four standard deviations of it are allowed.
  const auto moved =
      std::count_if(direction.begin(), direction.end(), [](double d) { return d != 0; });
  allowed = tolerance * std::sqrt(allowed) * (moved > 1 ? 4.0 : 1.0);
  if (std::abs(got - want) <= allowed) return std::nullopt;
  const auto first =
      std::find_if(direction.begin(), direction.end(), [](double d) { return d != 0; });
  return fmt::format(
      "gradient of {} along {}: got {}, central differences say {} (may differ by {})", name,
      moved > 1 ? std::string("a random direction")
                : fmt::format("element {}", first - direction.begin()),
      got, want, allowed);
}

}  // namespace

std::vector<std::string> check_gradients(const OpCase& op_case,
                                         const std::shared_ptr<Device>& device,
                                         std::uint64_t seed) {
  const GradCheck& check = op_case.gradcheck.front();
  const Values inputs = draw_inputs(op_case, seed);
  Workbench bench(op_case, device);
  bench.load(inputs);
  bench.run();
  const auto results = bench.read_results();

  std::mt19937_64 generator(seed);
  std::normal_distribution<double> normal;
  std::vector<std::string> problems;
  for (const auto& pair : check.gradients) {
    const std::string& input = pair.first;
    const std::string& output = pair.second;
    const TensorSpec& spec = spec_named(op_case, output);
    auto gradient = to_values(results.at(output), spec.dtype);
    if (spec.role == Role::inout) {  // Accumulated into: take off what was there.
      for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] -= inputs.at(output)[i];
    }
    const auto try_direction = [&](const std::vector<double>& direction) {
      const auto problem =
          check_direction(check, inputs, input, direction, gradient, tolerance_of(spec));
      if (problem) problems.push_back(*problem);
    };
    std::uniform_int_distribution<std::size_t> index(0, gradient.size() - 1);
    for (std::size_t n = 0; n < std::min(kSampledElements, gradient.size()); ++n) {
      std::vector<double> direction(gradient.size(), 0.0);
      direction[index(generator)] = 1.0;
      try_direction(direction);
    }
    for (int n = 0; n < kDirections; ++n) {
      std::vector<double> direction(gradient.size());
      for (double& d : direction) d = normal(generator);
      try_direction(direction);
    }
  }
  return problems;
}

}  // namespace cajal::testing
