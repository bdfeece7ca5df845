// The state of a run as of one step, held still while training goes on.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "cajal/command_queue.h"
#include "model/parameters.h"
#include "train/optimizer.h"

namespace cajal::train {

/// What a checkpoint holds of the device's memory, each [Parameters::size()] f32.
struct StateArenas {
  Tensor weights;
  Tensor m;
  Tensor v;
};

StateArenas arenas_of(const model::Parameters& parameters, const Optimizer& optimizer);

/// A second set of arenas, and the commands that copy the state into it. Queued behind a step, the
/// copies are device work like any other: the next step's update, which writes what they read, comes
/// behind them by the queue's order, and nobody waits. At a device's own bandwidth that takes about
/// a tenth of one update's time, where a copy over the bus to the host would take many steps.
class Snapshot {
 public:
  /// Allocates the second set: bytes() of device memory.
  Snapshot(CommandQueue& queue, const model::Parameters& parameters, const Optimizer& optimizer);

  /// Queues the copies behind what is queued already. `completed` runs on the handler thread; from
  /// then on arenas() holds the state, until the next call. The caller sees to it that whoever
  /// reads them has ended before that.
  Ticket take(CompletedHandler completed);

  const StateArenas& arenas() const { return copy_; }

  static std::size_t bytes(const model::Parameters& parameters);

 private:
  CommandQueue* queue_;
  StateArenas copy_;
  std::shared_ptr<CommandBuffer> commands_;
};

}  // namespace cajal::train
