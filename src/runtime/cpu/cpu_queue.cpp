#include "runtime/cpu/cpu_queue.h"

#include <omp.h>

#include <cstring>
#include <exception>
#include <utility>

namespace cajal {
namespace {

// memcpy takes no null pointer, even for nothing.
void copy_bytes(std::byte* to, const std::byte* from, std::size_t bytes) {
  if (bytes != 0) std::memcpy(to, from, bytes);
}

}  // namespace

CpuQueue::CpuQueue(const DeviceInfo& device, CompletionSink& sink)
    : device_(device.name), sink_(sink), context_(device.threads), thread_([this] { run(); }) {}

CpuQueue::~CpuQueue() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void CpuQueue::submit(BackendSubmission submission) {
  {
    const std::lock_guard lock(mutex_);
    submitted_.push_back(std::move(submission));
  }
  changed_.notify_one();
}

void CpuQueue::run() {
  omp_set_num_threads(context_.threads());
  // With OMP_DYNAMIC a busy machine would get smaller teams, and sums another order.
  omp_set_dynamic(0);
  BackendSubmission submission;
  while (next(submission)) {
    BackendCompletion completion = execute(submission);
    submission = {};  // Whoever hears of the completion finds its buffers released.
    sink_.on_completed(std::move(completion));
  }
}

/// Everything submitted is executed before closing.
bool CpuQueue::next(BackendSubmission& submission) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return closing_ || !submitted_.empty(); });
  if (submitted_.empty()) return false;
  submission = std::move(submitted_.front());
  submitted_.pop_front();
  return true;
}

BackendCompletion CpuQueue::execute(const BackendSubmission& submission) {
  BackendCompletion completion;
  completion.ticket = submission.ticket;
  completion.started = completion.completed = now();
  completion.fault = fault_;
  completion.abandoned = submission.ticket <= abandoned_.load();
  if (completion.abandoned) return completion;
  if (!fault_) {
    for (const Upload& up : submission.uploads) {
      copy_bytes(up.to.device_data<std::byte>(), up.from->data, up.to.size());
    }
    execute_commands(submission, completion);
  }
  if (!fault_) {
    for (const Download& down : submission.downloads) {
      copy_bytes(down.to->data, down.from.device_data<std::byte>(), down.from.size());
    }
  }
  completion.fault = fault_;
  completion.completed = now();
  return completion;
}

void CpuQueue::execute_commands(const BackendSubmission& submission,
                                BackendCompletion& completion) {
  for (std::size_t i = submission.first; i < submission.last; ++i) {
    const Command& command = submission.buffer->commands()[i];
    const Clock started = submission.trace ? now() : 0;
    if (!execute_command(command, submission.step)) return;
    if (submission.trace) completion.operations.push_back({command.operation, started, now()});
  }
}

bool CpuQueue::execute_command(const Command& command, std::int64_t step) {
  try {
    command.kernel(context_);
    return true;
  } catch (const std::exception& failure) {
    fault_ = DeviceFault{command.operation, step, device_, failure.what()};
  } catch (...) {
    fault_ = DeviceFault{command.operation, step, device_, "a kernel threw no std::exception"};
  }
  return false;
}

}  // namespace cajal
