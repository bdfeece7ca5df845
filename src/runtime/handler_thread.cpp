#include "runtime/handler_thread.h"

#include <fmt/format.h>

#include <exception>
#include <utility>

namespace cajal {

HandlerThread::HandlerThread(Progress& progress, Timeline& timeline, QueueFailure& failure)
    : progress_(progress), timeline_(timeline), failure_(failure), thread_([this] { run(); }) {
  progress_.handler_thread = thread_.get_id();
}

HandlerThread::~HandlerThread() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void HandlerThread::expect(Outstanding submission) {
  const std::lock_guard lock(mutex_);
  expected_.push_back(std::move(submission));
}

void HandlerThread::on_completed(BackendCompletion completion) noexcept {
  {
    const std::lock_guard lock(mutex_);
    finished_.push_back({std::move(expected_.front()), std::move(completion)});
    expected_.pop_front();
  }
  changed_.notify_one();
}

void HandlerThread::run() {
  while (auto finished = next()) {
    const Ticket ticket = finished->submission.ticket;
    finish(std::move(*finished));
    finished.reset();  // A host that waited finds the buffers released.
    {
      const std::lock_guard lock(progress_.mutex);
      progress_.finished = ticket;
    }
    progress_.advanced.notify_all();
  }
}

std::optional<HandlerThread::Finished> HandlerThread::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return closing_ || !finished_.empty(); });
  if (finished_.empty()) return std::nullopt;
  Finished finished = std::move(finished_.front());
  finished_.pop_front();
  return finished;
}

void HandlerThread::finish(Finished finished) {
  Outstanding& submission = finished.submission;
  BackendCompletion& done = finished.completion;
  if (done.fault) failure_.set(*done.fault);
  if (submission.first_part) commit_started_ = done.started;
  timeline_.add(SubmissionSpan{submission.ticket, submission.step, submission.buffer->label(),
                               submission.buffer->recorded_at(), submission.committed,
                               submission.submitted, done.started, done.completed,
                               std::move(done.operations)});
  submission.in_flight = {};  // Handlers may read what their submission has written.
  if (!submission.last_part) return;
  run_handlers(submission, Completion{submission.ticket, submission.step, commit_started_,
                                      done.completed, std::move(done.fault), done.abandoned});
}

void HandlerThread::run_handlers(const Outstanding& submission, const Completion& completion) {
  for (const CompletedHandler& handler : submission.buffer->completed_handlers()) {
    run_handler(handler, submission, completion);
  }
  if (submission.completed) run_handler(submission.completed, submission, completion);
}

void HandlerThread::run_handler(const CompletedHandler& handler, const Outstanding& submission,
                                const Completion& completion) {
  const auto keep = [&](const char* what) {
    failure_.set_handler_error(fmt::format("a completed handler of '{}' (step {}) threw: {}",
                                           submission.buffer->label(), completion.step, what));
  };
  try {
    handler(completion);
  } catch (const std::exception& failure) {
    keep(failure.what());
  } catch (...) {
    keep("something that is no std::exception");
  }
}

}  // namespace cajal
