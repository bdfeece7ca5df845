// A recorded list of operations that a queue executes, once or many times.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cajal/buffer.h"

namespace cajal {

class Device;
class ExecutionContext;  // what a backend hands its kernels: threads and scratch, a stream, an
                         // encoder

enum class Access : std::uint8_t { read, write, read_write };

/// A buffer that an operation touches, and how.
struct BufferUse {
  Buffer buffer;
  Access access = Access::read;
};

/// The device work of one operation. Runs on the device's side, after encode() has long returned.
using Kernel = std::function<void(ExecutionContext&)>;

/// One operation as recorded.
struct Command {
  std::string operation;
  std::vector<BufferUse> uses;
  Kernel kernel;
};

using Clock = std::int64_t;    ///< Nanoseconds of std::chrono::steady_clock, host and device alike.
using Ticket = std::uint64_t;  ///< Position of a committed buffer in its queue, from 1.

/// Why a submission failed: the first failing operation, and where it was.
struct DeviceFault {
  std::string operation;
  std::int64_t step = 0;
  std::string device;
  std::string message;
  std::string describe() const;  ///< One line for people.
};

/// What a completed handler learns.
struct Completion {
  Ticket ticket = 0;
  std::int64_t step = 0;
  Clock started = 0;    ///< Device began.
  Clock completed = 0;  ///< Device ended.
  std::optional<DeviceFault>
      fault;               ///< Set when this submission failed or was skipped after a failure.
  bool abandoned = false;  ///< CommandQueue::abandon came before it began: it did nothing.

  /// Whether the work was done, so that its results hold.
  bool succeeded() const { return !fault && !abandoned; }
};

/// Runs on a thread of the runtime after the device is done, in commit order. May throw: the
/// exception is caught, kept and surfaces at the queue's next commit or wait. Must not wait on the
/// queue that calls it (an Error says so).
using CompletedHandler = std::function<void(const Completion&)>;

/// Created by CommandQueue::command_buffer. Record, then commit as often as wanted: a training step
/// has static shapes, so it is recorded once and replayed. Recording touches no device. Every
/// Buffer named stays alive until the last replay completes.
class CommandBuffer {
 public:
  CommandBuffer(std::shared_ptr<Device> device, std::string label);

  /// Appends one operation. `uses` names every buffer that the kernel touches (absent ones are
  /// dropped); that is what debug builds check host access against and what a MemoryPlan derives
  /// lifetimes from. Throws Error after the first commit.
  void encode(std::string_view operation, std::vector<BufferUse> uses, Kernel kernel);

  /// Called at every completion of this buffer, in the order added. Throws Error after the first
  /// commit.
  void add_completed_handler(CompletedHandler handler);

  Device& device() const { return *device_; }
  const std::string& label() const { return label_; }
  const std::vector<Command>& commands() const { return commands_; }
  const std::vector<CompletedHandler>& completed_handlers() const { return handlers_; }
  Clock recorded_at() const { return recorded_at_; }
  bool committed() const { return committed_; }

 private:
  friend class CommandQueue;
  friend class MemoryPlan;
  void require_recording(std::string_view call) const;

  std::shared_ptr<Device> device_;
  std::string label_;
  std::vector<Command> commands_;
  std::vector<CompletedHandler> handlers_;
  Clock recorded_at_ = 0;
  std::size_t planned_commands_ = 0;  // The first ones, which a bound MemoryPlan knows.
  bool committed_ = false;
};

}  // namespace cajal
