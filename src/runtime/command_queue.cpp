#include "cajal/command_queue.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <utility>

#include "cajal/error.h"
#include "runtime/backend.h"
#include "runtime/handler_thread.h"
#include "runtime/host_wait.h"
#include "runtime/queue_failure.h"
#include "runtime/storage.h"

namespace cajal {
namespace {

/// Commits outstanding at the most, so that the host's memory does not grow with those of a step.
constexpr Ticket kMostCommits = 64;

}  // namespace

struct CommandQueue::State {
  State(std::shared_ptr<Device> device_, QueueOptions options_)
      : device(std::move(device_)),
        options(options_),
        handlers(progress, timeline, failure),
        backend(device->make_queue_backend(handlers)) {}

  std::shared_ptr<Device> device;
  QueueOptions options;
  Timeline timeline;
  Progress progress;
  QueueFailure failure;

  // The host thread only.
  Ticket last = 0;
  std::int64_t step = 0;
  bool in_step = false;
  Ticket closed = 0;  // Last ticket of the last closed group.
  std::deque<Ticket>
      groups;  // Last tickets of closed groups that may be outstanding, oldest first.

  // Destroyed in reverse: the backend reports to the handlers until it is gone.
  HandlerThread handlers;
  std::unique_ptr<QueueBackend> backend;

  bool finished(Ticket ticket) {
    const std::lock_guard lock(progress.mutex);
    return progress.finished >= ticket;
  }
  void wait(Ticket ticket, WaitReason reason) { host_wait(progress, ticket, reason, timeline); }

  void require_host_side(std::string_view call) const;
  void close_group();
  void make_room();
  void bound_commits();
  void submit(BackendSubmission part, Outstanding outstanding);
  void submit_whole(const std::shared_ptr<CommandBuffer>& buffer, Submission submission);
  void submit_one_by_one(const std::shared_ptr<CommandBuffer>& buffer, Submission submission);
};

namespace {

/// Planned memory is shared by what the plan knew: a command that it did not would overwrite what
/// others still need.
void require_memory(const CommandBuffer& buffer, std::size_t planned_commands) {
  for (std::size_t i = 0; i < buffer.commands().size(); ++i) {
    const Command& command = buffer.commands()[i];
    for (const BufferUse& use : command.uses) {
      const Storage& storage = *use.buffer.storage();
      if (!storage.bound()) {
        throw Error(fmt::format("'{}' of '{}' uses buffer '{}', which has no memory yet",
                                command.operation, buffer.label(), use.buffer.label()),
                    "bind its memory plan before the first commit");
      }
      if (storage.planned() && i >= planned_commands) {
        throw Error(fmt::format("'{}' of '{}' uses buffer '{}' and is not in its memory plan",
                                command.operation, buffer.label(), use.buffer.label()),
                    "record everything first, then plan all of it at once");
      }
    }
  }
}

/// Planned memory belongs to a buffer only between its first and last operation, so what a transfer
/// put there would not last, and what it took would be another's.
void require_transferable(const Buffer& device_side, const HostBlock* host_side) {
  if (!device_side || host_side == nullptr) throw InvalidArgument("a transfer lacks a side");
  if (device_side.storage()->planned()) {
    throw InvalidArgument(
        fmt::format("a transfer names the planned buffer '{}'", device_side.label()),
        "allocate it instead of reserving it");
  }
  if (host_side->size < device_side.size()) {
    throw InvalidArgument(fmt::format("a host block of {} bytes is too small for buffer '{}' of {}",
                                      host_side->size, device_side.label(), device_side.size()),
                          "take one of that size from Device::staging");
  }
}

/// Calls copy(first byte, host block) for the pieces of `memory`. Where the device shares the
/// host's memory that is all of it, as its own block: it is there until the wait returns. Elsewhere
/// pieces pass through pinned blocks, because a copy from other memory would stall the host unseen.
template <class CopyPiece>
void for_each_piece(Device& device, std::span<std::byte> memory, const CopyPiece& copy) {
  constexpr std::size_t kPiece = std::size_t{64} << 20;
  if (device.info().shares_host_memory) {
    copy(0, std::make_shared<HostBlock>(HostBlock{memory.data(), memory.size()}));
    return;
  }
  for (std::size_t first = 0; first < memory.size(); first += kPiece) {
    copy(first, device.staging(std::min(kPiece, memory.size() - first)));
  }
}

void require_transferable(const Submission& submission) {
  for (const Upload& up : submission.uploads) require_transferable(up.to, up.from.get());
  for (const Download& down : submission.downloads) require_transferable(down.from, down.to.get());
}

}  // namespace

/// Handlers run while the host thread uses the queue: only that thread may change it.
void CommandQueue::State::require_host_side(std::string_view call) const {
  if (std::this_thread::get_id() == progress.handler_thread) {
    throw Error(fmt::format("a completed handler calls {} on its own queue", call),
                "let the host thread do it");
  }
}

void CommandQueue::State::close_group() {
  if (last != closed) groups.push_back(last);
  closed = last;
}

/// Waits for the oldest group when max_in_flight are outstanding. Called once for each new group,
/// so that there is never more than one to wait for.
void CommandQueue::State::make_room() {
  while (!groups.empty() && finished(groups.front())) groups.pop_front();
  while (groups.size() >= static_cast<std::size_t>(options.max_in_flight)) {
    wait(groups.front(), WaitReason::back_pressure);
    groups.pop_front();
  }
}

/// Within a step, too, so much and no more is outstanding: half of it is left to the device when
/// the host goes on.
void CommandQueue::State::bound_commits() {
  constexpr Ticket kHalf = kMostCommits / 2;
  if (last % kHalf == 0 && last > kHalf) wait(last - kHalf, WaitReason::back_pressure);
}

void CommandQueue::State::submit(BackendSubmission part, Outstanding outstanding) {
  part.ticket = outstanding.ticket = ++last;
  part.step = outstanding.step = step;
  part.trace = timeline.tracing();
  outstanding.buffer = part.buffer;
  outstanding.in_flight = InFlightScope(this, part);
  outstanding.submitted = now();
  handlers.expect(std::move(outstanding));
  backend->submit(std::move(part));
}

void CommandQueue::State::submit_whole(const std::shared_ptr<CommandBuffer>& buffer,
                                       Submission submission) {
  BackendSubmission part;
  part.buffer = buffer;
  part.last = buffer->commands().size();
  part.uploads = std::move(submission.uploads);
  part.downloads = std::move(submission.downloads);
  Outstanding outstanding;
  outstanding.completed = std::move(submission.completed);
  outstanding.committed = now();
  submit(std::move(part), std::move(outstanding));
}

void CommandQueue::State::submit_one_by_one(const std::shared_ptr<CommandBuffer>& buffer,
                                            Submission submission) {
  const std::size_t count = buffer->commands().size();
  for (std::size_t i = 0; i < count; ++i) {
    BackendSubmission part;
    part.buffer = buffer;
    part.first = i;
    part.last = i + 1;
    Outstanding outstanding;
    outstanding.committed = now();
    outstanding.first_part = i == 0;
    outstanding.last_part = i + 1 == count;
    if (outstanding.first_part) part.uploads = std::move(submission.uploads);
    if (outstanding.last_part) {
      part.downloads = std::move(submission.downloads);
      outstanding.completed = std::move(submission.completed);
    }
    submit(std::move(part), std::move(outstanding));
    wait(last, WaitReason::every_op);
  }
}

CommandQueue::CommandQueue(std::shared_ptr<Device> device, QueueOptions options) {
  if (!device) throw InvalidArgument("a command queue needs a device");
  if (options.max_in_flight < 1) {
    throw InvalidArgument(fmt::format("max_in_flight is {}", options.max_in_flight),
                          "use --max-in-flight 1 or more");
  }
  state_ = std::make_unique<State>(std::move(device), options);
}

CommandQueue::~CommandQueue() {
  try {
    state_->wait(state_->last, WaitReason::shutdown);
  } catch (...) {
    // Nobody is left to be told; the backend's destructor drains in any case.
    state_->backend.reset();
  }
}

Device& CommandQueue::device() const { return *state_->device; }
const QueueOptions& CommandQueue::options() const { return state_->options; }
Timeline& CommandQueue::timeline() const { return state_->timeline; }

std::shared_ptr<CommandBuffer> CommandQueue::command_buffer(std::string label) const {
  return std::make_shared<CommandBuffer>(state_->device, std::move(label));
}

void CommandQueue::begin_step(std::int64_t step) {
  state_->require_host_side("begin_step");
  state_->close_group();
  state_->make_room();
  state_->in_step = true;
  state_->step = step;
  state_->failure.raise();
}

Ticket CommandQueue::commit(const std::shared_ptr<CommandBuffer>& buffer, Submission submission) {
  State& state = *state_;
  state.require_host_side("commit");
  state.failure.raise();
  if (!buffer) throw InvalidArgument("commit of no command buffer");
  if (&buffer->device() != state.device.get()) {
    throw InvalidArgument(
        fmt::format("command buffer '{}' was recorded for another device", buffer->label()));
  }
  if (!buffer->committed_) require_memory(*buffer, buffer->planned_commands_);
  require_transferable(submission);
  buffer->committed_ = true;
  if (!state.in_step) state.make_room();
  state.bound_commits();
  const bool split = state.options.sync == SyncMode::every_op && !buffer->commands().empty();
  if (split) {
    state.submit_one_by_one(buffer, std::move(submission));
  } else {
    state.submit_whole(buffer, std::move(submission));
  }
  if (!state.in_step) state.close_group();
  if (split) state.failure.raise();
  return state.last;
}

void CommandQueue::wait(Ticket ticket, WaitReason reason) {
  state_->require_host_side("wait");
  if (ticket > state_->last) {
    throw InvalidArgument(fmt::format("wait for ticket {}, which was never committed", ticket));
  }
  state_->wait(ticket, reason);
  state_->failure.raise();
}

void CommandQueue::wait_idle(WaitReason reason) {
  state_->require_host_side("wait_idle");
  wait(state_->last, reason);
}

void CommandQueue::abandon() {
  state_->require_host_side("abandon");
  state_->backend->abandon(state_->last);
}

bool CommandQueue::completed(Ticket ticket) const { return state_->finished(ticket); }

void CommandQueue::read(const Buffer& from, std::span<std::byte> to, WaitReason reason) {
  if (from.size() != to.size()) {
    throw InvalidArgument(fmt::format("read of buffer '{}' of {} bytes into {}", from.label(),
                                      from.size(), to.size()));
  }
  state_->failure.raise();
  for_each_piece(*state_->device, to, [&](std::size_t first, const auto& block) {
    Submission submission;
    submission.downloads.push_back({from.slice(first, block->size), block});
    wait(commit(command_buffer("read"), std::move(submission)), reason);
    if (block->data != to.data()) std::memcpy(to.data() + first, block->data, block->size);
  });
}

void CommandQueue::write(std::span<const std::byte> from, const Buffer& to, WaitReason reason) {
  if (from.size() != to.size()) {
    throw InvalidArgument(
        fmt::format("write of {} bytes to buffer '{}' of {}", from.size(), to.label(), to.size()));
  }
  state_->failure.raise();
  auto* const data = const_cast<std::byte*>(from.data());  // An upload only reads its block.
  for_each_piece(*state_->device, {data, from.size()}, [&](std::size_t first, const auto& block) {
    if (block->data != data) std::memcpy(block->data, data + first, block->size);
    Submission submission;
    submission.uploads.push_back({block, to.slice(first, block->size)});
    wait(commit(command_buffer("write"), std::move(submission)), reason);
  });
}

}  // namespace cajal
