// Which commands of a recording may run at once, and on which lane each goes.
#pragma once

#include <cstddef>
#include <vector>

#include "cajal/command_buffer.h"

namespace cajal {

/// Lanes of a CUDA queue: one for what the next operations wait for, one for what only the
/// optimizer reads, the gradients of weights.
inline constexpr std::size_t kCudaLanes = 2;
inline constexpr std::size_t kCriticalLane = 0;
inline constexpr std::size_t kSideLane = 1;

/// Beside a weight's gradient run the operations of about one transformer block's half.
inline constexpr int kOverlappingCommands = 8;

/// A command's place. Commands of one lane run in the order recorded.
struct ScheduledCommand {
  std::size_t lane = kCriticalLane;
  std::vector<std::size_t> waits_for;  ///< Earlier commands of other lanes, at most one a lane.
  bool awaited = false;                ///< A command of another lane waits for this one.
};

/// Derived from the bytes that commands read and write: whoever writes waits for all who read or
/// wrote before, whoever reads for who wrote. All buffers must be bound.
std::vector<ScheduledCommand> schedule(const std::vector<Command>& commands);

}  // namespace cajal
