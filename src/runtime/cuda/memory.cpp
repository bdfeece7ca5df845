#include "runtime/cuda/memory.h"

#include <algorithm>
#include <cstdint>
#include <limits>

namespace cajal {

CudaMemory::CudaMemory(int device)
    : device_(device), stream_(make_stream()), allocated_(make_event(EventUse::order)) {
  cudaMemPoolProps properties{};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.location.type = cudaMemLocationTypeDevice;
  properties.location.id = device;
  check_cuda(cudaMemPoolCreate(&pool_, &properties), "cudaMemPoolCreate");
  // What was released stays with the pool: the next run's buffers come without the driver.
  std::uint64_t keep = std::numeric_limits<std::uint64_t>::max();
  check_cuda(cudaMemPoolSetAttribute(pool_, cudaMemPoolAttrReleaseThreshold, &keep),
             "cudaMemPoolSetAttribute");
}

CudaMemory::~CudaMemory() { static_cast<void>(cudaMemPoolDestroy(pool_)); }

std::shared_ptr<std::byte> CudaMemory::allocate(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  check_cuda(cudaSetDevice(device_), "cudaSetDevice");
  void* memory = nullptr;
  const cudaError_t status =
      cudaMallocFromPoolAsync(&memory, std::max<std::size_t>(bytes, 1), pool_, stream_.get());
  if (status == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());
    return nullptr;
  }
  check_cuda(status, "cudaMallocFromPoolAsync");
  check_cuda(cudaEventRecord(allocated_.get(), stream_.get()), "cudaEventRecord");
  return {static_cast<std::byte*>(memory),
          [self = shared_from_this()](std::byte* held) { self->release(held); }};
}

void CudaMemory::order_before(cudaStream_t stream) {
  const std::lock_guard lock(mutex_);
  check_cuda(cudaStreamWaitEvent(stream, allocated_.get()), "cudaStreamWaitEvent");
}

// Nothing committed names the memory any more, so no work has to be waited for.
void CudaMemory::release(std::byte* memory) noexcept {
  static_cast<void>(cudaFreeAsync(memory, stream_.get()));
}

std::shared_ptr<std::byte> allocate_pinned(std::size_t bytes) {
  void* memory = nullptr;
  if (cudaMallocHost(&memory, std::max<std::size_t>(bytes, 1)) != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return nullptr;
  }
  return {static_cast<std::byte*>(memory),
          [](std::byte* held) { static_cast<void>(cudaFreeHost(held)); }};
}

}  // namespace cajal
