// A processor that executes command buffers: the CPU today, a GPU by the same interface.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cajal/buffer.h"
#include "cajal/dtype.h"

namespace cajal {

class QueueBackend;  // what a device does for a CommandQueue (src/runtime/backend.h)
class CompletionSink;
struct StorageTraits;  // src/runtime/storage.h

enum class DeviceKind : std::uint8_t { cpu, cuda, metal };

struct DeviceInfo {
  std::string name;                  ///< As it was opened: "cpu", "cuda:0", "metal".
  std::string description;           ///< The processor's own name.
  std::size_t memory_bytes = 0;      ///< All of it.
  std::size_t memory_available = 0;  ///< What a run started now may use.
  int threads = 0;                   ///< Host threads that execute operations; 0 where none do.
  bool supports_bf16 = false;
  bool supports_fp8 = false;        ///< Matrix products in e4m3 and e5m2.
  std::string bf16_remedy;          ///< Why bf16 is refused and what to use instead; else empty.
  bool shares_host_memory = false;  ///< Buffer::host_read and host_write work.
  /// How far apart two recorded commands may be and still run at once; 0 where each waits for the
  /// last. A MemoryPlan keeps a buffer's place free for so many commands after its last use: reused
  /// at once, it would chain commands that need not wait for each other.
  int overlapping_commands = 0;
};

struct DeviceOptions {
  int threads =
      0;  ///< CPU only: threads inside an operation; 0 takes every core this process may use.
  /// Buffer::host_read and host_write refuse memory that in-flight work uses. Left out: as the
  /// build says, which is yes in debug builds.
  std::optional<bool> check_host_access{};
};

/// Host memory that transfers to and from the device read and write. Pinned where that matters.
struct HostBlock {
  std::byte* data = nullptr;
  std::size_t size = 0;
};

class Device : public std::enable_shared_from_this<Device> {
 public:
  virtual ~Device() = default;

  /// Opens "cpu". "cuda[:N]" and "metal" belong to backends that this build may lack; then, and for
  /// any other name, throws InvalidArgument that lists what there is.
  static std::shared_ptr<Device> open(std::string_view name, DeviceOptions options = {});

  /// Names of the backends in this build, "cpu" among them.
  static std::vector<std::string> backends();

  virtual DeviceKind kind() const = 0;
  virtual const DeviceInfo& info() const = 0;

  /// The vendor's peak for this type in FLOP/s, or nothing where it is not known. Never a guess.
  virtual std::optional<double> peak_flops(DType dtype) const = 0;

  /// Uninitialised device memory, 64-byte aligned. Throws Error when the device has no room.
  Buffer allocate(std::size_t bytes, std::string label);

  /// A buffer with no memory yet, for a MemoryPlan to place. Kernels may use it once bound.
  Buffer reserve(std::size_t bytes, std::string label);

  /// A host block of at least this size, recycled when the last holder lets go. Thread-safe.
  std::shared_ptr<HostBlock> staging(std::size_t bytes);

  /// Bytes now held by allocate(), and the most there ever were.
  std::size_t allocated_bytes() const;
  std::size_t peak_bytes() const;

  /// Whether buffers check host access against in-flight work.
  virtual bool checks_host_access() const = 0;

  /// For CommandQueue.
  virtual std::unique_ptr<QueueBackend> make_queue_backend(CompletionSink& sink) = 0;

 protected:
  Device();
  struct Accounting;
  struct StagingPool;
  virtual std::shared_ptr<std::byte> allocate_device(std::size_t bytes) = 0;
  virtual std::shared_ptr<std::byte> allocate_host(std::size_t bytes) = 0;

 private:
  StorageTraits traits() const;

  std::shared_ptr<Accounting> accounting_;
  std::shared_ptr<StagingPool> staging_;
};

}  // namespace cajal
