// Places short-lived buffers in one arena by the lifetimes that recorded work shows.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "cajal/command_buffer.h"
#include "cajal/device.h"

namespace cajal {

/// Takes every buffer that Device::reserve made, that has no memory yet and that the given command
/// buffers name. In each of them it lives from the first command that uses it to the last; buffers
/// whose lives overlap in none share bytes. Command buffers of one queue never run at once, so each
/// is planned from the arena's start; a buffer that several name has one place, free in all of
/// them.
///
/// On a device that runs commands side by side a place is reused only DeviceInfo's
/// overlapping_commands later.
///
/// Nothing survives from one command buffer to the next: a command that reads bytes which no
/// earlier command of the same buffer wrote is refused with an Error that names both. For what must
/// survive, use Device::allocate.
///
/// A buffer belongs to one plan, and only commands that its plan knows may use it: another plan and
/// a commit refuse the rest with an Error.
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
  /// First and last command that use a buffer.
  struct Lifetime {
    std::size_t command_buffer = 0;
    std::size_t first = 0;
    std::size_t last = 0;
  };
  struct Placement {
    std::shared_ptr<Storage> storage;
    std::vector<Lifetime> lives;  ///< One for each command buffer that names it, in their order.
    std::size_t offset = 0;
  };
  bool alive_together(const Placement& a, const Placement& b) const;
  static std::vector<Placement> find_lifetimes(
      const std::vector<std::shared_ptr<CommandBuffer>>& recorded);
  void place_all();

  struct Recording {
    std::shared_ptr<CommandBuffer> commands;
    std::size_t count = 0;  ///< Commands that the plan has seen.
  };
  std::vector<Recording> recordings_;  ///< Until bound.
  std::vector<Placement> placements_;  ///< In order of first use.
  std::size_t linger_ = 0;  ///< Commands that a place stays free after its buffer's last use.
  std::size_t arena_bytes_ = 0;
  std::size_t total_bytes_ = 0;
  bool bound_ = false;
};

}  // namespace cajal
