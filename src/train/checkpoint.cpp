#include "train/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "cajal/error.h"
#include "ops/fill/fill.h"
#include "train/durable_file.h"
#include "train/safetensors.h"

namespace cajal::train {
namespace {

namespace fs = std::filesystem;

/// A whole arena on the host, with the parts of it that a file holds.
class HostArena {
 public:
  explicit HostArena(const model::Parameters& parameters)
      : parameters_(&parameters), values_(static_cast<std::size_t>(parameters.size()), 0.0F) {}

  void write(CommandQueue& queue, const Tensor& arena) const {
    queue.write(std::as_bytes(std::span(values_)), arena.buffer, WaitReason::checkpoint);
  }

  /// Rows beyond the saved ones stay 0.
  void take_arrays(const std::string& prefix, const SafetensorsFile& file) {
    for (const model::Parameter& parameter : parameters_->all()) {
      const NamedArray& array =
          file.require(prefix + parameter.spec.name, DType::f32, parameter.saved_shape());
      std::copy(array.bytes.begin(), array.bytes.end(),
                std::as_writable_bytes(std::span(values_)).begin() +
                    parameter.offset * static_cast<std::int64_t>(sizeof(float)));
    }
  }

 private:
  const model::Parameters* parameters_;
  std::vector<float> values_;
};

/// The bf16 copy that matrix products read follows the master weights.
void refresh_compute_copy(CommandQueue& queue, const model::Parameters& parameters) {
  if (!parameters.compute()) return;
  const auto commands = queue.command_buffer("weights to bf16");
  ops::convert(*commands, parameters.master(), parameters.compute());
  queue.commit(commands);
}

/// Padding between parameters is never written again, and the norm reads it.
void zero_gradients(CommandQueue& queue, const model::Parameters& parameters) {
  if (!parameters.grad()) return;
  const auto commands = queue.command_buffer("zero gradients");
  ops::zero(*commands, parameters.grad());
  queue.commit(commands);
}

void write_state(CommandQueue& queue, const Optimizer& optimizer, const ops::AdamWState& state) {
  queue.write(std::as_bytes(std::span(&state, 1)), optimizer.state().buffer,
              WaitReason::checkpoint);
}

}  // namespace

model::GptConfig load_config(const fs::path& directory) {
  const fs::path file = directory / kConfigFile;
  if (!fs::exists(file)) {
    throw InvalidArgument(fmt::format("{} holds no model: no {}", directory.string(), kConfigFile),
                          "name the directory of a run, as given to cajal train --out");
  }
  return model::parse_config_json(read_file(file), file.string());
}

std::optional<data::Tokenizer> load_tokenizer(const fs::path& directory) {
  const fs::path file = directory / kTokenizerFile;
  if (!fs::exists(file)) return std::nullopt;
  return data::Tokenizer::load(file);
}

void initialize_weights(CommandQueue& queue, const model::Gpt& gpt, std::uint64_t seed) {
  const model::Parameters& parameters = gpt.parameters();
  const std::vector<float> values = parameters.initial_values(seed);
  queue.write(std::as_bytes(std::span(values)), parameters.master().buffer, WaitReason::checkpoint);
  refresh_compute_copy(queue, parameters);
  zero_gradients(queue, parameters);
}

void load_weights(CommandQueue& queue, const model::Gpt& gpt, const fs::path& directory) {
  const model::Parameters& parameters = gpt.parameters();
  const SafetensorsFile file(directory / kModelFile);
  HostArena arena(parameters);
  arena.take_arrays("", file);
  arena.write(queue, parameters.master());
  refresh_compute_copy(queue, parameters);
  zero_gradients(queue, parameters);
}

void initialize_optimizer(CommandQueue& queue, const Optimizer& optimizer) {
  const auto commands = queue.command_buffer("zero moments");
  ops::zero(*commands, optimizer.m());
  ops::zero(*commands, optimizer.v());
  queue.commit(commands);
  write_state(queue, optimizer, {});
}

void load_optimizer(CommandQueue& queue, const model::Gpt& gpt, const Optimizer& optimizer,
                    const ops::AdamWState& state, const fs::path& directory) {
  const SafetensorsFile file(directory / kOptimizerFile);
  const auto load = [&](const char* prefix, const Tensor& moments) {
    HostArena arena(gpt.parameters());
    arena.take_arrays(prefix, file);
    arena.write(queue, moments);
  };
  load(kFirstMoment, optimizer.m());
  load(kSecondMoment, optimizer.v());
  write_state(queue, optimizer, state);
}

}  // namespace cajal::train
