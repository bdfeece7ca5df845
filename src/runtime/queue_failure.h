// What has gone wrong on a queue, until the host hears of it.
#pragma once

#include <mutex>
#include <optional>
#include <string>

#include "cajal/command_buffer.h"

namespace cajal {

/// Thread-safe. A device fault is sticky; what a handler threw is told once.
class QueueFailure {
 public:
  void set(const DeviceFault& fault);
  void set_handler_error(std::string message);

  /// Throws Error when there is something to tell.
  void raise();

 private:
  std::mutex mutex_;
  std::optional<DeviceFault> fault_;
  std::optional<std::string> handler_error_;
};

}  // namespace cajal
