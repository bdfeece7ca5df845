#include "runtime/in_flight.h"

#include <algorithm>
#include <utility>

#include "runtime/storage.h"

namespace cajal {

void InFlightUses::add(InFlightUse use) {
  const std::lock_guard lock(mutex_);
  uses_.push_back(std::move(use));
}

void InFlightUses::remove(const void* queue, Ticket ticket) {
  const std::lock_guard lock(mutex_);
  std::erase_if(uses_,
                [&](const InFlightUse& use) { return use.queue == queue && use.ticket == ticket; });
}

std::optional<InFlightUse> InFlightUses::conflict(std::size_t begin, std::size_t end,
                                                  bool host_writes) const {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(uses_.begin(), uses_.end(), [&](const InFlightUse& use) {
    return use.begin < end && begin < use.end && (host_writes || use.writes);
  });
  if (found == uses_.end()) return std::nullopt;
  return *found;
}

InFlightScope::InFlightScope(const void* queue, const BackendSubmission& submission)
    : queue_(queue), ticket_(submission.ticket) {
  if (!submission.buffer->device().checks_host_access()) return;
  const auto use = [&](std::string operation, bool writes) {
    return InFlightUse{queue_, ticket_, submission.step, std::move(operation), 0, 0, writes};
  };
  for (const Upload& upload : submission.uploads) add(upload.to, use("upload", true));
  for (std::size_t i = submission.first; i < submission.last; ++i) {
    const Command& command = submission.buffer->commands()[i];
    for (const BufferUse& named : command.uses) {
      add(named.buffer, use(command.operation, named.access != Access::read));
    }
  }
  for (const Download& download : submission.downloads) add(download.from, use("download", false));
}

void InFlightScope::add(const Buffer& buffer, InFlightUse use) {
  const Storage& storage = *buffer.storage();
  const std::shared_ptr<InFlightUses>& uses = storage.in_flight();
  use.begin = storage.place() + buffer.offset();
  use.end = use.begin + buffer.size();
  uses->add(std::move(use));
  if (std::find(registered_.begin(), registered_.end(), uses) == registered_.end()) {
    registered_.push_back(uses);
  }
}

InFlightScope::~InFlightScope() {
  for (const auto& uses : registered_) uses->remove(queue_, ticket_);
}

InFlightScope::InFlightScope(InFlightScope&& other) noexcept
    : queue_(other.queue_),
      ticket_(other.ticket_),
      registered_(std::exchange(other.registered_, {})) {}

InFlightScope& InFlightScope::operator=(InFlightScope&& other) noexcept {
  std::swap(queue_, other.queue_);
  std::swap(ticket_, other.ticket_);
  std::swap(registered_, other.registered_);
  return *this;
}

}  // namespace cajal
