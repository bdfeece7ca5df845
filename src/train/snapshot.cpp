#include "train/snapshot.h"

#include <utility>

#include "ops/fill/fill.h"

namespace cajal::train {
namespace {

Tensor like(Device& device, const Tensor& tensor, const char* label) {
  return {device.allocate(tensor.buffer.size(), label), tensor.dtype, tensor.shape};
}

}  // namespace

StateArenas arenas_of(const model::Parameters& parameters, const Optimizer& optimizer) {
  return {parameters.master(), optimizer.m(), optimizer.v()};
}

Snapshot::Snapshot(CommandQueue& queue, const model::Parameters& parameters,
                   const Optimizer& optimizer)
    : queue_(&queue), commands_(queue.command_buffer("snapshot")) {
  const StateArenas state = arenas_of(parameters, optimizer);
  copy_ = {like(queue.device(), state.weights, "weights' copy"),
           like(queue.device(), state.m, "first moments' copy"),
           like(queue.device(), state.v, "second moments' copy")};
  ops::convert(*commands_, state.weights, copy_.weights);
  ops::convert(*commands_, state.m, copy_.m);
  ops::convert(*commands_, state.v, copy_.v);
}

Ticket Snapshot::take(CompletedHandler completed) {
  return queue_->commit(commands_, {.completed = std::move(completed)});
}

std::size_t Snapshot::bytes(const model::Parameters& parameters) {
  return 3 * parameters.master().buffer.size();
}

}  // namespace cajal::train
