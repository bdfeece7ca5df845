#include "train/checkpoint_writer.h"

#include <utility>

namespace cajal::train {

CheckpointWriter::CheckpointWriter() : thread_([this] { run(); }) {
  progress_.handler_thread = thread_.get_id();
}

CheckpointWriter::~CheckpointWriter() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void CheckpointWriter::hand_over(std::function<void()> work) noexcept {
  {
    const std::lock_guard lock(mutex_);
    work_ = std::move(work);
  }
  changed_.notify_one();
}

void CheckpointWriter::pass() noexcept {
  hand_over([] {});
}

void CheckpointWriter::settle(Timeline& timeline) {
  host_wait(progress_, announced_, WaitReason::checkpoint, timeline);
  const std::lock_guard lock(mutex_);
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

bool CheckpointWriter::failed() const {
  const std::lock_guard lock(mutex_);
  return failure_ != nullptr;
}

void CheckpointWriter::run() {
  for (;;) {
    std::function<void()> work;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return closing_ || work_; });
      if (!work_) return;
      work = *std::exchange(work_, std::nullopt);
    }
    try {
      work();
    } catch (...) {
      const std::lock_guard lock(mutex_);
      failure_ = std::current_exception();
    }
    work = nullptr;  // Whoever waits finds what it held released.
    done();
  }
}

void CheckpointWriter::done() {
  {
    const std::lock_guard lock(progress_.mutex);
    ++progress_.finished;
  }
  progress_.advanced.notify_all();
}

}  // namespace cajal::train
