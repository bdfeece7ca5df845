// The one function in which the host waits for a device.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "cajal/timeline.h"

namespace cajal {

/// How far a queue has come. Advanced by the queue's handler thread, awaited by host_wait.
struct Progress {
  std::mutex mutex;
  std::condition_variable advanced;
  Ticket finished = 0;             ///< Completed on the device, handlers run.
  std::thread::id handler_thread;  ///< Must not wait: it is the one that advances.
};

/// Blocks until `progress` has reached `ticket`. Counted and timed in `timeline` when it had to
/// block. Throws Error when called on the queue's own handler thread.
void host_wait(Progress& progress, Ticket ticket, WaitReason reason, Timeline& timeline);

}  // namespace cajal
