#include "runtime/cuda/cuda_queue.h"

#include <fmt/format.h>

#include <exception>
#include <nvtx3/nvtx3.hpp>
#include <utility>

#include "runtime/cuda/transfers.h"

namespace cajal {

CudaQueue::CudaQueue(Device& device, const CudaProperties& properties,
                     std::shared_ptr<CudaMemory> memory, CompletionSink& sink)
    : device_name_(device.info().name),
      index_(properties.index),
      sink_(sink),
      memory_(std::move(memory)),
      context_(device, properties, memory_,
               [&sink](const WaitSpan& wait) { sink.on_waited(wait); }),
      thread_([this] { run(); }) {}

CudaQueue::~CudaQueue() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void CudaQueue::submit(BackendSubmission submission) {
  InFlight flight;
  flight.submission = std::move(submission);
  flight.submitted = now();
  {
    const std::lock_guard lock(mutex_);
    flight.fault = fault_;
  }
  if (!flight.fault) give_to_device(flight);
  {
    const std::lock_guard lock(mutex_);
    in_flight_.push_back(std::move(flight));
  }
  changed_.notify_one();
}

void CudaQueue::give_to_device(InFlight& flight) {
  const cudaStream_t stream = context_.lane_stream(kCriticalLane);
  context_.begin_command(flight.submission.buffer->label(), kCriticalLane);
  try {
    check_cuda(cudaSetDevice(index_), "cudaSetDevice");
    memory_->order_before(stream);
    flight.started = mark(stream);
    const bool has_kernels = !flight.submission.buffer->commands().empty();
    copy_to_device(stream, flight.submission.uploads,
                   {has_kernels ? context_.ticket_word() : nullptr, flight.submission.ticket});
    run_commands(flight);
    copy_to_host(stream, flight.submission.downloads);
    flight.completed = mark(stream);
  } catch (const std::exception& failure) {
    flight.fault = describe(flight.submission, context_.operation(), failure.what());
  } catch (...) {
    flight.fault =
        describe(flight.submission, context_.operation(), "a kernel threw no std::exception");
  }
}

void CudaQueue::run_commands(InFlight& flight) {
  const BackendSubmission& submission = flight.submission;
  Known* const known = submission.trace ? nullptr : known_as_whole(submission);
  if (known == nullptr) {
    launch_each(flight);
    return;
  }
  if (!known->replay) {
    known->replay = std::make_unique<Replay>(context_, *submission.buffer);
  }
  const nvtx3::scoped_range range(submission.buffer->label());
  known->replay->launch(context_.lane_stream(kCriticalLane));
  flight.faults = known->replay->faults();
}

void CudaQueue::launch_each(InFlight& flight) {
  const BackendSubmission& submission = flight.submission;
  const cudaStream_t stream = context_.lane_stream(kCriticalLane);
  if (submission.trace) flight.boundaries.push_back(mark(stream));
  for (std::size_t i = submission.first; i < submission.last; ++i) {
    launch_command(context_, submission.buffer->commands()[i], kCriticalLane);
    if (submission.trace) flight.boundaries.push_back(mark(stream));
  }
  flight.faults = context_.take_faults();
}

/// Null where it is not worth a graph: the first commit, parts of a buffer, and transfers.
CudaQueue::Known* CudaQueue::known_as_whole(const BackendSubmission& submission) {
  const CommandBuffer& buffer = *submission.buffer;
  if (buffer.commands().empty() || submission.last - submission.first != buffer.commands().size()) {
    return nullptr;
  }
  const auto found = known_.find(&buffer);
  if (found != known_.end() && !found->second.buffer.expired()) return &found->second;
  std::erase_if(known_, [](const auto& entry) { return entry.second.buffer.expired(); });
  known_.emplace(&buffer, Known{submission.buffer, nullptr});
  return nullptr;
}

CudaEvent CudaQueue::mark(cudaStream_t stream) {
  CudaEvent event = take_event();
  check_cuda(cudaEventRecord(event.get(), stream), "cudaEventRecord");
  return event;
}

CudaEvent CudaQueue::take_event() {
  {
    const std::lock_guard lock(mutex_);
    if (!free_events_.empty()) {
      CudaEvent event = std::move(free_events_.back());
      free_events_.pop_back();
      return event;
    }
  }
  return make_event(EventUse::time);
}

void CudaQueue::give_back(CudaEvent event) {
  if (!event) return;
  const std::lock_guard lock(mutex_);
  free_events_.push_back(std::move(event));
}

void CudaQueue::run() {
  static_cast<void>(cudaSetDevice(index_));
  while (auto flight = next()) finish(std::move(*flight));
}

/// Everything submitted is reported before closing.
std::optional<CudaQueue::InFlight> CudaQueue::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return closing_ || !in_flight_.empty(); });
  if (in_flight_.empty()) return std::nullopt;
  InFlight flight = std::move(in_flight_.front());
  in_flight_.pop_front();
  return flight;
}

void CudaQueue::finish(InFlight flight) {
  BackendCompletion completion;
  completion.ticket = flight.submission.ticket;
  completion.started = completion.completed = now();
  const bool reached = flight.completed && await_event(flight.completed.get());
  if (reached) place_on_clock(flight, flight.completed, completion);
  {
    const std::lock_guard lock(mutex_);
    if (!fault_) fault_ = fault_of(flight, reached);
    completion.fault = fault_;
  }
  give_back(std::move(flight.started));
  give_back(std::move(flight.completed));
  for (CudaEvent& event : flight.boundaries) give_back(std::move(event));
  flight = {};  // Whoever hears of the completion finds its buffers released.
  sink_.on_completed(std::move(completion));
}

void CudaQueue::place_on_clock(const InFlight& flight, CudaEvent& completed,
                               BackendCompletion& completion) {
  const auto span = clock_.place(flight.started.get(), completed, flight.submitted, now());
  completion.started = span.started;
  completion.completed = span.completed;
  for (std::size_t i = 0; i + 1 < flight.boundaries.size(); ++i) {
    const Command& command = flight.submission.buffer->commands()[flight.submission.first + i];
    completion.operations.push_back({command.operation, clock_.at(flight.boundaries[i].get()),
                                     clock_.at(flight.boundaries[i + 1].get())});
  }
}

std::optional<DeviceFault> CudaQueue::fault_of(const InFlight& flight, bool reached) const {
  if (flight.fault) return flight.fault;
  const BackendSubmission& submission = flight.submission;
  if (!reached) {
    const bool one = submission.last - submission.first == 1;
    const std::string what = cudaGetErrorString(cudaGetLastError());
    return describe(submission,
                    one ? submission.buffer->commands()[submission.first].operation
                        : submission.buffer->label(),
                    one ? what : what + "; --sync every-op tells which operation");
  }
  for (const CudaContext::Fault& slot : flight.faults) {
    // A later replay may be writing it: then it is not this submission's.
    const auto* const record = static_cast<const volatile FaultRecord*>(slot.record);
    if (record->ticket != submission.ticket) continue;
    const std::uint64_t what = record->what;
    const auto index = static_cast<std::int64_t>(what >> 32U) - 1;
    const auto value = static_cast<std::int32_t>(static_cast<std::uint32_t>(what));
    return describe(submission, slot.operation, slot.describe(index, value));
  }
  return std::nullopt;
}

DeviceFault CudaQueue::describe(const BackendSubmission& submission, std::string operation,
                                std::string message) const {
  return {std::move(operation), submission.step, device_name_, std::move(message)};
}

}  // namespace cajal
