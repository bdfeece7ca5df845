#include "train/memory_check.h"

#include <fmt/format.h>

#include <string>

#include "cajal/error.h"
#include "model/gpt.h"
#include "train/optimizer.h"

namespace cajal::train {
namespace {

/// A token's id and target on the device and in the slots of the ring.
constexpr double kBytesPerToken = 2.0 * sizeof(std::int32_t) * 4;

std::string gigabytes(std::size_t bytes) {
  return fmt::format("{:.1f} GB", static_cast<double>(bytes) * 1e-9);
}

std::size_t state_bytes(const model::GptConfig& config, DType dtype) {
  return Optimizer::training_bytes(
      model::Parameters::arena_elements(model::Gpt::parameter_specs(config)), dtype);
}

}  // namespace

void require_state_fits(const Device& device, const model::GptConfig& config, DType dtype,
                        const StepShape& shape) {
  const std::size_t needed = state_bytes(config, dtype);
  const std::size_t available = device.info().memory_available;
  if (needed > available) {
    throw InvalidArgument(fmt::format("weights, gradients and moments take {}, {} has {} free",
                                      gigabytes(needed), device.info().name, gigabytes(available)),
                          "choose a smaller --preset");
  }
  // In floating point, because absurd sizes overflow integers.
  const double tokens = static_cast<double>(shape.batch) * static_cast<double>(shape.seq);
  const double room = static_cast<double>(available - needed);
  if (tokens * kBytesPerToken > room) {
    throw InvalidArgument(fmt::format("--batch {} makes {:.3g} tokens at once, too many for {}",
                                      shape.batch, tokens, gigabytes(available)),
                          "use --batch 1 and raise it while it fits");
  }
}

void require_activations_fit(const Device& device, const model::GptConfig& config, DType dtype,
                             const StepShape& shape, std::size_t activation_bytes) {
  const std::size_t state = state_bytes(config, dtype);
  const std::size_t available = device.info().memory_available;
  if (state + activation_bytes <= available) return;
  const std::size_t per_sequence = activation_bytes / static_cast<std::size_t>(shape.batch) + 1;
  const std::size_t batch = (available - state) / per_sequence;
  const std::string remedy =
      batch > 0
          ? fmt::format(
                "use --batch {} and --accumulate {} for the same tokens a step", batch,
                (static_cast<std::size_t>(shape.batch * shape.accumulate) + batch - 1) / batch)
          : "use a shorter --seq or a smaller --preset";
  throw InvalidArgument(
      fmt::format(
          "--batch {} needs {} for activations beside {} of weights and moments; {} has {} free",
          shape.batch, gigabytes(activation_bytes), gigabytes(state), device.info().name,
          gigabytes(available)),
      remedy);
}

}  // namespace cajal::train
