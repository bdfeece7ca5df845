// A thread that makes checkpoints' files while training goes on.
#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "runtime/host_wait.h"

namespace cajal::train {

/// One checkpoint at a time: the host announces it, a completed handler hands over the work once
/// the state is held still (or says that there is none), the thread does it.
class CheckpointWriter {
 public:
  CheckpointWriter();
  /// Finishes what it has been handed.
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  /// The host thread: one more is on its way. After settle() alone.
  void announce() { ++announced_; }
  /// Any thread: the work of the one announced; never throws, never waits. Its exception is kept
  /// for raise().
  void hand_over(std::function<void()> work) noexcept;
  /// Any thread: nothing is to be written for the one announced.
  void pass() noexcept;

  /// The host thread: returns when what was announced is done; counted in `timeline` as a wait for
  /// a checkpoint when it had to block. Rethrows what the work threw.
  void settle(Timeline& timeline);

  /// Whether work has failed, so that settle() will throw. From any thread.
  bool failed() const;

 private:
  void run();
  void done();

  Ticket announced_ = 0;  // the host thread only
  Progress progress_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<std::function<void()>> work_;
  std::exception_ptr failure_;
  bool closing_ = false;
  std::thread thread_;  // Last: it uses everything above.
};

}  // namespace cajal::train
