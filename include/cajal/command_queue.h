// A FIFO of committed command buffers on one device.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cajal/command_buffer.h"
#include "cajal/device.h"
#include "cajal/timeline.h"

namespace cajal {

enum class SyncMode : std::uint8_t {
  step,      ///< Order belongs to the queue; the host waits only for back pressure.
  every_op,  ///< Submit and wait after every operation: the baseline that cajal exists to beat.
};

struct QueueOptions {
  int max_in_flight = 2;  ///< Steps (or lone commits) outstanding before the host waits.
  SyncMode sync = SyncMode::step;
};

/// Host to device, before a submission's first operation.
struct Upload {
  std::shared_ptr<const HostBlock> from;
  Buffer to;  ///< Takes to.size() bytes from the block's start.
};

/// Device to host, after a submission's last operation. Valid in its completed handlers.
struct Download {
  Buffer from;
  std::shared_ptr<HostBlock> to;
};

/// What goes with one commit of a command buffer. The empty initialisers let callers name only what
/// they need.
struct Submission {
  std::vector<Upload> uploads{};
  std::vector<Download> downloads{};
  CompletedHandler completed{};  ///< For this commit only; after the buffer's own handlers.
};

/// Work committed to one queue runs in commit order on the device, and that order is the only
/// synchronisation between operations: no host wait is needed between them. All members are for one
/// host thread, but usage() and the Timeline, which any thread may read.
///
/// The first failure is sticky: later submissions are skipped (their handlers still run, with the
/// fault), and the next commit or wait throws an Error that names operation, step and device.
class CommandQueue {
 public:
  explicit CommandQueue(std::shared_ptr<Device> device, QueueOptions options = {});
  /// Finishes everything committed (a wait for shutdown), runs its handlers, never throws.
  ~CommandQueue();
  CommandQueue(const CommandQueue&) = delete;
  CommandQueue& operator=(const CommandQueue&) = delete;

  Device& device() const;
  const QueueOptions& options() const;

  /// An empty command buffer for this queue's device.
  std::shared_ptr<CommandBuffer> command_buffer(std::string label) const;

  /// Opens step `step`: what is committed until the next call belongs to it. The one steady-state
  /// wait is here: when max_in_flight steps are outstanding, waits (back pressure) for the oldest.
  /// Only a step of more commits than 32 may wait again, once for every 32 of them.
  void begin_step(std::int64_t step);

  /// Hands the buffer to the device and returns without waiting for it (every_op: waits after each
  /// operation), unless 64 commits are outstanding. Outside any step a commit counts as a step of
  /// its own. Throws the sticky Error.
  Ticket commit(const std::shared_ptr<CommandBuffer>& buffer, Submission submission = {});

  /// Returns when the submission has completed and its handlers have run. Throws the sticky Error,
  /// and Error when called from a handler of this queue.
  void wait(Ticket ticket, WaitReason reason);
  void wait_idle(WaitReason reason);
  bool completed(Ticket ticket) const;

  /// Gives up what is committed and has not begun, where the device can still leave it undone (a
  /// CPU; a GPU has its work already): its handlers run with Completion::abandoned. For ending
  /// soon.
  void abandon();

  /// Blocking copies for set-up, checkpoints and tests: a commit and a counted wait.
  void read(const Buffer& from, std::span<std::byte> to, WaitReason reason);
  void write(std::span<const std::byte> from, const Buffer& to, WaitReason reason);

  Timeline& timeline() const;
  Usage usage() const { return timeline().usage(); }

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cajal
