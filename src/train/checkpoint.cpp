#include "train/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "cajal/error.h"
#include "ops/fill/fill.h"
#include "train/arena_loader.h"
#include "train/durable_file.h"
#include "train/safetensors.h"

namespace cajal::train {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFirstMoment = "exp_avg.";
constexpr const char* kSecondMoment = "exp_avg_sq.";

/// A whole arena on the host, with the parts of it that a file holds.
class HostArena {
 public:
  explicit HostArena(const model::Parameters& parameters)
      : parameters_(&parameters), values_(static_cast<std::size_t>(parameters.size()), 0.0F) {}

  void read(CommandQueue& queue, const Tensor& arena) {
    queue.read(arena.buffer, std::as_writable_bytes(std::span(values_)), WaitReason::checkpoint);
  }

  bool finite() const {
    return std::all_of(values_.begin(), values_.end(),
                       [](float value) { return std::isfinite(value); });
  }

  void append_arrays(const std::string& prefix, std::vector<NamedArray>& arrays) const {
    for (const model::Parameter& parameter : parameters_->all()) {
      const Shape shape = parameter.saved_shape();
      const auto values =
          std::span(values_).subspan(static_cast<std::size_t>(parameter.offset),
                                     static_cast<std::size_t>(element_count(shape)));
      arrays.push_back({prefix + parameter.spec.name, DType::f32, shape, std::as_bytes(values)});
    }
  }

 private:
  const model::Parameters* parameters_;
  std::vector<float> values_;
};

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

void save_checkpoint(CommandQueue& queue, const model::Gpt& gpt, const Optimizer& optimizer,
                     const data::Tokenizer* tokenizer, const TrainerState& state,
                     const fs::path& directory) {
  const model::Parameters& parameters = gpt.parameters();
  HostArena arena(parameters);
  std::vector<NamedArray> arrays;
  arena.read(queue, parameters.master());
  if (!arena.finite()) {
    throw Error(
        fmt::format("step {}: the weights are no longer finite; the last checkpoint is kept",
                    state.step),
        "lower --lr or lengthen --warmup");
  }
  arena.append_arrays("", arrays);
  write_safetensors(directory / kModelFile, arrays, {{"format", "pt"}});

  HostArena second(parameters);
  arrays.clear();
  arena.read(queue, optimizer.m());
  second.read(queue, optimizer.v());
  arena.append_arrays(kFirstMoment, arrays);
  second.append_arrays(kSecondMoment, arrays);
  write_safetensors(directory / kOptimizerFile, arrays, {});

  const auto end_of_text = tokenizer != nullptr ? tokenizer->end_of_text() : std::nullopt;
  const auto last_id = static_cast<data::TokenId>(gpt.config().vocab_size - 1);
  write_file_atomically(directory / kConfigFile,
                        model::to_config_json(gpt.config(), end_of_text.value_or(last_id)));
  if (tokenizer != nullptr) tokenizer->save(directory / kTokenizerFile);
  save_trainer_state(state, directory);
}

}  // namespace cajal::train
