// A queue's device side on a GPU: streams, and a thread that learns when work is done.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "runtime/backend.h"
#include "runtime/cuda/context.h"
#include "runtime/cuda/device_clock.h"
#include "runtime/cuda/memory.h"
#include "runtime/cuda/replay.h"

namespace cajal {

/// A command buffer's first commit launches its operations one by one: libraries make their plans.
/// From the second on it is replayed as a graph. Parts of a buffer (--sync every-op) and traced
/// submissions are always launched one by one.
///
/// After a fault the host submits nothing more to the device; what the device was already given
/// runs to its end, and its results are void.
class CudaQueue final : public QueueBackend {
 public:
  CudaQueue(Device& device, const CudaProperties& properties, std::shared_ptr<CudaMemory> memory,
            CompletionSink& sink);
  ~CudaQueue() override;
  CudaQueue(const CudaQueue&) = delete;
  CudaQueue& operator=(const CudaQueue&) = delete;

  void submit(BackendSubmission submission) override;

 private:
  using Faults = std::vector<CudaContext::Fault>;

  /// Given to the device and not yet reported.
  struct InFlight {
    BackendSubmission submission;
    CudaEvent started;
    CudaEvent completed;
    std::vector<CudaEvent> boundaries;  ///< Of the operations, while tracing: one more than these.
    Faults faults;
    Clock submitted = 0;
    std::optional<DeviceFault> fault;  ///< It never reached the device.
  };
  /// A buffer committed whole before, and its graph once it has been committed twice.
  struct Known {
    std::weak_ptr<const CommandBuffer> buffer;
    std::unique_ptr<Replay> replay;
  };

  // The host thread.
  void give_to_device(InFlight& flight);
  void run_commands(InFlight& flight);
  void launch_each(InFlight& flight);
  Known* known_as_whole(const BackendSubmission& submission);
  CudaEvent mark(cudaStream_t stream);
  CudaEvent take_event();

  // The completion thread.
  void run();
  std::optional<InFlight> next();
  void finish(InFlight flight);
  void place_on_clock(const InFlight& flight, CudaEvent& completed, BackendCompletion& completion);
  std::optional<DeviceFault> fault_of(const InFlight& flight, bool reached) const;
  void give_back(CudaEvent event);

  DeviceFault describe(const BackendSubmission& submission, std::string operation,
                       std::string message) const;

  const std::string device_name_;
  const int index_;
  CompletionSink& sink_;
  std::shared_ptr<CudaMemory> memory_;

  CudaContext context_;                          // the host thread only
  std::map<const CommandBuffer*, Known> known_;  // likewise

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<InFlight> in_flight_;
  std::vector<CudaEvent> free_events_;
  std::optional<DeviceFault> fault_;  ///< The first.
  bool closing_ = false;

  DeviceClock clock_;  // the completion thread only

  std::thread thread_;  // Last: it uses everything above.
};

}  // namespace cajal
