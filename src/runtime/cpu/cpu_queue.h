// A queue's device side on the CPU: one thread that executes closures in commit order.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "runtime/backend.h"
#include "runtime/cpu/context.h"

namespace cajal {

/// Its thread stands for the device, and is the OpenMP master of every kernel's parallel regions.
class CpuQueue final : public QueueBackend {
 public:
  CpuQueue(const DeviceInfo& device, CompletionSink& sink);
  ~CpuQueue() override;
  CpuQueue(const CpuQueue&) = delete;
  CpuQueue& operator=(const CpuQueue&) = delete;

  void submit(BackendSubmission submission) override;
  void abandon(Ticket last) override { abandoned_.store(last); }

 private:
  void run();
  bool next(BackendSubmission& submission);
  BackendCompletion execute(const BackendSubmission& submission);
  void execute_commands(const BackendSubmission& submission, BackendCompletion& completion);
  bool execute_command(const Command& command, std::int64_t step);

  const std::string device_;
  CompletionSink& sink_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<BackendSubmission> submitted_;
  std::atomic<Ticket> abandoned_{0};
  bool closing_ = false;

  // The queue's thread only.
  CpuContext context_;
  std::optional<DeviceFault> fault_;

  std::thread thread_;  // Last: it uses everything above.
};

}  // namespace cajal
