// A small GPT with random weights on the device that tests run on.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include "cajal/command_queue.h"
#include "model/gpt.h"
#include "model/reference_gpt.h"
#include "ops/fill/fill.h"
#include "runtime/memory_plan.h"
#include "test_device.h"

namespace cajal::testing {

/// Odd on purpose: nothing is a multiple of a vector's width.
inline model::GptConfig odd_config() {
  model::GptConfig config;
  config.vocab_size = 29;
  config.n_positions = 11;
  config.n_embd = 18;
  config.n_layer = 2;
  config.n_head = 3;
  config.n_inner = 31;
  return config;
}

template <class T>
std::vector<T> download(CommandQueue& queue, const Tensor& tensor) {
  std::vector<T> values(static_cast<std::size_t>(tensor.size()));
  queue.read(tensor.buffer, std::as_writable_bytes(std::span(values)), WaitReason::evaluation);
  return values;
}

template <class T>
void upload(CommandQueue& queue, const std::vector<T>& values, const Tensor& tensor) {
  queue.write(std::as_bytes(std::span(values)), tensor.buffer, WaitReason::evaluation);
}

inline Tensor allocate(Device& device, DType dtype, Shape shape) {
  const auto bytes = static_cast<std::size_t>(element_count(shape)) * size_of(dtype);
  return {device.allocate(bytes, "test"), dtype, std::move(shape)};
}

inline std::vector<std::int32_t> random_ids(std::size_t count, std::int64_t vocab,
                                            std::mt19937_64& generator) {
  std::uniform_int_distribution<std::int32_t> any(0, static_cast<std::int32_t>(vocab - 1));
  std::vector<std::int32_t> ids(count);
  for (auto& id : ids) id = any(generator);
  return ids;
}

class SmallGpt {
 public:
  explicit SmallGpt(std::uint64_t seed, model::GptConfig config = odd_config(),
                    DType dtype = DType::f32)
      : device(open_test_device({.threads = 2})), queue(device), gpt(device, config, dtype) {
    std::mt19937_64 generator(seed);
    std::normal_distribution<float> normal(0.0F, 0.3F);
    arena.assign(static_cast<std::size_t>(gpt.parameters().size()), 0.0F);
    for (const model::Parameter& parameter : gpt.parameters().all()) {
      for (std::int64_t i = 0; i < element_count(parameter.saved_shape()); ++i) {
        arena[parameter.offset + i] =
            normal(generator) + (parameter.spec.init == model::Init::ones ? 1.0F : 0.0F);
      }
    }
    upload(queue, arena, gpt.parameters().master());
    const auto commands = queue.command_buffer("prepare");
    ops::zero(*commands, gpt.parameters().grad());
    if (gpt.parameters().compute())
      ops::convert(*commands, gpt.parameters().master(), gpt.parameters().compute());
    queue.commit(commands);
  }

  Weights reference_weights() const {
    Weights weights;
    for (const model::Parameter& parameter : gpt.parameters().all()) {
      const auto first = arena.begin() + parameter.offset;
      weights[parameter.spec.name] = Matrix(first, first + element_count(parameter.saved_shape()));
    }
    return weights;
  }

  std::shared_ptr<Device> device;
  CommandQueue queue;
  model::Gpt gpt;
  std::vector<float> arena;
};

}  // namespace cajal::testing
