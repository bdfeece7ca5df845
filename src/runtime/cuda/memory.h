// A card's memory: one stream-ordered pool for the device, pinned memory for the host.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>

#include "runtime/cuda/handles.h"

namespace cajal {

/// Allocation and release are entries of a stream of the pool's own, so neither waits for the
/// device. Thread-safe. Outlives the device while memory of it is alive.
class CudaMemory : public std::enable_shared_from_this<CudaMemory> {
 public:
  explicit CudaMemory(int device);
  ~CudaMemory();
  CudaMemory(const CudaMemory&) = delete;
  CudaMemory& operator=(const CudaMemory&) = delete;

  /// Null when there is no room. 256-byte aligned.
  std::shared_ptr<std::byte> allocate(std::size_t bytes);

  /// What `stream` is given from now on may use all memory allocated so far.
  void order_before(cudaStream_t stream);

 private:
  void release(std::byte* memory) noexcept;

  int device_;
  CudaStream stream_;
  CudaEvent allocated_;
  cudaMemPool_t pool_ = nullptr;
  std::mutex mutex_;
};

/// Pinned, with the same address for host and device. Null when there is none.
std::shared_ptr<std::byte> allocate_pinned(std::size_t bytes);

}  // namespace cajal
