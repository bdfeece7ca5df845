// Places short-lived buffers in one arena by the lifetimes that recorded work shows.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "cajal/command_buffer.h"
#include "cajal/device.h"

namespace cajal {

/// Takes every buffer that Device::reserve made and the given command buffers name. A buffer lives
/// from the first command that uses it to the last; buffers whose lives do not overlap share bytes.
/// Command buffers of one queue never run at once, so each is planned from the arena's start.
class MemoryPlan {
 public:
  explicit MemoryPlan(const std::vector<std::shared_ptr<CommandBuffer>>& recorded);

  std::size_t arena_bytes() const { return arena_bytes_; }  ///< With reuse.
  std::size_t total_bytes() const { return total_bytes_; }  ///< Without.

  /// One line a buffer: label, bytes, offset, first and last command.
  std::string describe() const;

  /// Allocates the arena and binds every planned buffer to its place. Once.
  void bind(Device& device);

 private:
  struct Placement {
    std::shared_ptr<Storage> storage;
    std::size_t command_buffer = 0;
    std::size_t first = 0;
    std::size_t last = 0;
    std::size_t offset = 0;
  };
  std::vector<Placement> placements_;
  std::size_t arena_bytes_ = 0;
  std::size_t total_bytes_ = 0;
};

}  // namespace cajal
