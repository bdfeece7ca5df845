#include "train/arena_loader.h"

#include <algorithm>
#include <vector>

#include "ops/fill/fill.h"

namespace cajal::train {

void load_arena(CommandQueue& queue, const model::Parameters& parameters, const Tensor& arena,
                const ParameterSource& source, std::int64_t piece) {
  std::vector<float> values;
  for (std::int64_t begin = 0; begin < parameters.size(); begin += piece) {
    const std::int64_t end = std::min(begin + piece, parameters.size());
    values.assign(static_cast<std::size_t>(end - begin), 0.0F);
    for (const model::Parameter& parameter : parameters.all()) {
      const std::int64_t saved = element_count(parameter.saved_shape());
      const std::int64_t from = std::max(begin, parameter.offset);
      const std::int64_t to = std::min(end, parameter.offset + saved);
      if (from >= to) continue;
      source(parameter, static_cast<std::uint64_t>(from - parameter.offset),
             std::span(values).subspan(static_cast<std::size_t>(from - begin),
                                       static_cast<std::size_t>(to - from)));
    }
    const auto bytes = std::as_bytes(std::span(values));
    queue.write(bytes,
                arena.buffer.slice(static_cast<std::size_t>(begin) * sizeof(float), bytes.size()),
                WaitReason::checkpoint);
  }
}

void finish_weights(CommandQueue& queue, const model::Parameters& parameters) {
  if (parameters.compute()) {
    const auto commands = queue.command_buffer("weights to bf16");
    ops::convert(*commands, parameters.master(), parameters.compute());
    queue.commit(commands);
  }
  if (parameters.grad()) {
    const auto commands = queue.command_buffer("zero gradients");
    ops::zero(*commands, parameters.grad());
    queue.commit(commands);
  }
}

}  // namespace cajal::train
