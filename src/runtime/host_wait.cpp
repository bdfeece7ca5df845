#include "runtime/host_wait.h"

#include <fmt/format.h>

#include "cajal/error.h"
#include "runtime/backend.h"

namespace cajal {

void host_wait(Progress& progress, Ticket ticket, WaitReason reason, Timeline& timeline) {
  if (std::this_thread::get_id() == progress.handler_thread) {
    throw Error(fmt::format("a completed handler waits ({}) on its own queue", name_of(reason)),
                "wait on the host thread: the handler is what the wait would wait for");
  }
  std::unique_lock lock(progress.mutex);
  if (progress.finished >= ticket) return;
  const Clock began = now();
  progress.advanced.wait(lock, [&] { return progress.finished >= ticket; });
  const Clock ended = now();
  lock.unlock();
  timeline.add(WaitSpan{reason, ticket, began, ended});
}

}  // namespace cajal
