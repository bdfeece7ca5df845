// Runs completed handlers in commit order, off the device's thread and off the host's.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "runtime/backend.h"
#include "runtime/host_wait.h"
#include "runtime/in_flight.h"
#include "runtime/queue_failure.h"

namespace cajal {

/// A submission between its commit and its last handler. Holds everything it names alive.
struct Outstanding {
  Ticket ticket = 0;
  std::int64_t step = 0;
  std::shared_ptr<const CommandBuffer> buffer;
  CompletedHandler completed;
  bool first_part = true;  ///< A commit is one part, or under every_op one for each operation.
  bool last_part = true;   ///< Handlers run after this one.
  Clock committed = 0;
  Clock submitted = 0;
  InFlightScope in_flight;
};

class HandlerThread final : public CompletionSink {
 public:
  HandlerThread(Progress& progress, Timeline& timeline, QueueFailure& failure);
  /// Everything expected must have completed.
  ~HandlerThread() override;
  HandlerThread(const HandlerThread&) = delete;
  HandlerThread& operator=(const HandlerThread&) = delete;

  /// Before the submission goes to the backend, which completes them in this order.
  void expect(Outstanding submission);
  void on_completed(BackendCompletion completion) noexcept override;
  void on_waited(const WaitSpan& wait) override { timeline_.add(wait); }

 private:
  struct Finished {
    Outstanding submission;
    BackendCompletion completion;
  };
  void run();
  std::optional<Finished> next();
  void finish(Finished finished);
  void run_handlers(const Outstanding& submission, const Completion& completion);
  void run_handler(const CompletedHandler& handler, const Outstanding& submission,
                   const Completion& completion);

  Progress& progress_;
  Timeline& timeline_;
  QueueFailure& failure_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Outstanding> expected_;
  std::deque<Finished> finished_;
  bool closing_ = false;

  Clock commit_started_ = 0;  // This thread only: when the first part of the commit began.

  std::thread thread_;  // Last: it uses everything above.
};

}  // namespace cajal
