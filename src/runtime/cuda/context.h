// What the CUDA device hands its kernels.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/backend.h"
#include "runtime/cuda/handles.h"
#include "runtime/cuda/kernel_fault.h"
#include "runtime/cuda/memory.h"
#include "runtime/cuda/schedule.h"

namespace cajal {

/// Says in one line for people what a kernel found wrong.
using DescribeFault = std::function<std::string(std::int64_t index, std::int32_t value)>;

/// Properties of the card that kernels cut their work by.
struct CudaProperties {
  int index = 0;
  int multiprocessors = 1;
  int major = 0;  ///< Compute capability.
  int minor = 0;
  std::size_t l2_bytes = 0;
  std::size_t shared_bytes_per_block = 0;  ///< With the opt-in of cudaFuncSetAttribute.
  std::string name;
};

/// A stream with scratch of its own: commands of one lane run in the order recorded.
struct CudaLane {
  CudaStream stream;
  Buffer scratch;
};

/// One per queue. A kernel's closure runs on the host thread that commits: it launches work into
/// stream() and returns. It runs at the first commit and once more when the command buffer is
/// captured as a graph; replays do not call it, so whatever it decides must hold for every replay.
class CudaContext final : public ExecutionContext {
 public:
  /// `waited` hears of every wait that measure() makes.
  CudaContext(Device& device, const CudaProperties& properties, std::shared_ptr<CudaMemory> memory,
              std::function<void(const WaitSpan&)> waited);
  ~CudaContext() override;
  CudaContext(const CudaContext&) = delete;
  CudaContext& operator=(const CudaContext&) = delete;

  cudaStream_t stream() const { return lane_->stream.get(); }
  const CudaProperties& device() const { return properties_; }

  /// Device memory for the current command alone, 256-byte aligned, uninitialised. The next call of
  /// scratch() in the same command returns the same bytes.
  std::span<std::byte> scratch(std::size_t bytes);

  /// By which a kernel of the current command may fail the submission that it runs in; `describe`
  /// words the fault's message.
  KernelFault fault_slot(DescribeFault describe);

  /// An object that kernels build once and keep, such as a library's compiled plan.
  template <class T, class Make>
  T& cached(const std::string& key, Make&& make) {
    auto& slot = cache_[key];
    if (!slot) slot = std::make_shared<T>(make());
    return *std::static_pointer_cast<T>(slot);
  }

  /// Microseconds that the device takes for what `launch` puts into stream(), the best of some
  /// runs; nothing where it cannot be captured, as a step will be. Short work is timed as it will
  /// run, many times over inside a graph, so that the host's own time for a launch does not count.
  /// Blocks: for choosing an algorithm, once, before a command is captured. `launch` must have run
  /// before, and throws where it fails. Not while capturing(). Throws Error when the device has
  /// failed.
  std::optional<double> measure(const std::function<void()>& launch);

  /// Whether the current command is being recorded into a graph instead of run.
  bool capturing() const;

  /// For the queue: what a slot of fault_slot() means.
  struct Fault {
    const FaultRecord* record = nullptr;
    std::string operation;
    DescribeFault describe;
  };
  void begin_command(const std::string& operation, std::size_t lane);
  /// Before a capture: every lane gets the scratch that its commands took when they were launched
  /// one by one.
  void prepare_lanes(const std::vector<Command>& commands,
                     const std::vector<ScheduledCommand>& places);
  const std::string& operation() const { return operation_; }
  std::vector<Fault> take_faults();  ///< Slots handed out since the last call.
  /// Where kernels read which submission they run in; each begins by writing its ticket there.
  std::uint64_t* ticket_word() const { return reinterpret_cast<std::uint64_t*>(ticket_.get()); }
  cudaStream_t lane_stream(std::size_t lane) const { return lanes_.at(lane).stream.get(); }

 private:
  FaultRecord* next_fault_record();
  double time_once(const std::function<void()>& launch);
  double best_time(const std::function<void()>& launch);
  void recover();
  void grow_scratch(CudaLane& lane, std::size_t bytes);

  Device& device_;
  CudaProperties properties_;
  std::shared_ptr<CudaMemory> memory_;
  std::function<void(const WaitSpan&)> waited_;
  std::shared_ptr<std::byte> ticket_;
  std::array<CudaLane, kCudaLanes> lanes_;
  CudaLane* lane_;
  std::string operation_;
  std::vector<Fault> faults_;
  std::vector<Buffer> outgrown_;  ///< Scratch that captured graphs still name.
  std::vector<std::shared_ptr<HostBlock>> fault_pages_;
  std::size_t fault_records_used_ = 0;  ///< In the last page.
  std::map<std::string, std::shared_ptr<void>> cache_;
  std::map<std::string, std::size_t> scratch_of_;  ///< The most by an operation's name.
};

inline CudaContext& cuda(ExecutionContext& context) { return static_cast<CudaContext&>(context); }

}  // namespace cajal
