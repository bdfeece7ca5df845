#include "train/checkpoint.h"

#include <span>
#include <vector>

#include "ops/fill/fill.h"
#include "train/arena_loader.h"
#include "train/safetensors.h"

namespace cajal::train {
namespace {

namespace fs = std::filesystem;

void write_state(CommandQueue& queue, const Optimizer& optimizer, const ops::AdamWState& state) {
  queue.write(std::as_bytes(std::span(&state, 1)), optimizer.state().buffer,
              WaitReason::checkpoint);
}

}  // namespace

void initialize_weights(CommandQueue& queue, const model::Gpt& gpt, std::uint64_t seed) {
  const model::Parameters& parameters = gpt.parameters();
  const std::vector<float> values = parameters.initial_values(seed);
  queue.write(std::as_bytes(std::span(values)), parameters.master().buffer, WaitReason::checkpoint);
  finish_weights(queue, parameters);
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
    load_arena(
        queue, gpt.parameters(), moments,
        [&](const model::Parameter& parameter, std::uint64_t first, std::span<float> values) {
          const StoredTensor& tensor =
              file.require(prefix + parameter.spec.name, DType::f32, parameter.saved_shape());
          file.read_floats(tensor, first, values);
        });
  };
  load(kFirstMoment, optimizer.m());
  load(kSecondMoment, optimizer.v());
  write_state(queue, optimizer, state);
}

}  // namespace cajal::train
