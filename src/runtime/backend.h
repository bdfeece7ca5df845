// What a device implements so that a CommandQueue can run on it.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "cajal/command_queue.h"

namespace cajal {

class ExecutionContext {
 public:
  virtual ~ExecutionContext() = default;
};

/// Commands [first, last) of one buffer with the transfers around them.
struct BackendSubmission {
  Ticket ticket = 0;
  std::int64_t step = 0;
  std::shared_ptr<const CommandBuffer> buffer;
  std::size_t first = 0;
  std::size_t last = 0;
  std::vector<Upload> uploads;
  std::vector<Download> downloads;
  bool trace = false;  ///< Report a span for every operation.
};

struct BackendCompletion {
  Ticket ticket = 0;
  Clock started = 0;
  Clock completed = 0;
  std::vector<OperationSpan> operations;
  std::optional<DeviceFault> fault;
  bool abandoned = false;
};

/// Where a backend reports. Called from its own thread, in submission order.
class CompletionSink {
 public:
  virtual ~CompletionSink() = default;
  virtual void on_completed(BackendCompletion completion) noexcept = 0;
  /// The backend made the host wait inside submit().
  virtual void on_waited(const WaitSpan& wait) = 0;
};

/// Executes submissions in order on the device. After a fault it skips what follows and reports the
/// same fault for each. The destructor returns when everything submitted has been reported.
class QueueBackend {
 public:
  virtual ~QueueBackend() = default;
  virtual void submit(BackendSubmission submission) = 0;
  /// Submissions up to `last` that have not begun need not run; each is reported as abandoned.
  virtual void abandon(Ticket /*last*/) {}
};

/// The clock of every span.
Clock now();

}  // namespace cajal
