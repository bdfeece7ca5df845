// Brings device memory to the host in pieces, beside a queue that trains.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cajal/command_queue.h"

namespace cajal::train {

/// Host memory does not grow with what is read: a few pieces are on their way while the one before
/// them is taken. Copies run on a queue of the reader's own, so they are ordered behind nothing:
/// what is read must be complete, and left alone meanwhile. For one thread.
class PieceReader {
 public:
  explicit PieceReader(std::shared_ptr<Device> device);

  /// Calls take(bytes) for the contents of the buffers, in order, each in one piece or more of at
  /// most 16 MiB; the bytes are valid during the call. Waits (checkpoint) for its own copies. Where
  /// the device shares the host's memory nothing is copied. Throws Error when the device failed,
  /// and what `take` throws.
  void read(const std::vector<Buffer>& buffers,
            const std::function<void(std::span<const std::byte> bytes)>& take);

 private:
  std::shared_ptr<Device> device_;
  std::optional<CommandQueue> queue_;  ///< Where copies are needed.
};

}  // namespace cajal::train
