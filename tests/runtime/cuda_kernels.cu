#include <string>

#include "cuda_kernels.h"
#include "runtime/cuda/context.h"
#include "runtime/cuda/kernel_fault.cuh"

namespace cajal::test {
namespace {

constexpr unsigned kThreads = 256;

unsigned blocks_for(std::size_t count) {
  return static_cast<unsigned>((count + kThreads - 1) / kThreads);
}

__device__ std::size_t index() { return std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; }

__global__ void set(std::int32_t* to, std::size_t count, std::int32_t value) {
  if (index() < count) to[index()] = value;
}

__global__ void fold(std::uint32_t* to, const std::uint32_t* from, std::size_t count,
                     std::uint32_t factor) {
  if (index() < count) to[index()] = to[index()] * factor + from[index()];
}

/// One thread, so that it is always the last one that is told of.
__global__ void refuse_negatives(const std::int32_t* values, std::size_t count, KernelFault slot) {
  for (std::size_t i = 0; i < count; ++i) {
    if (values[i] < 0) raise_fault(slot, static_cast<std::int64_t>(i), values[i]);
  }
}

__global__ void write_to(volatile std::int32_t* address) { *address = 1; }

__device__ std::uint64_t nanoseconds() {
  std::uint64_t time = 0;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(time));
  return time;
}

__global__ void spin(std::uint64_t time) {
  const std::uint64_t began = nanoseconds();
  while (nanoseconds() - began < time) {
  }
}

std::size_t count_of(const Buffer& buffer) { return buffer.size() / sizeof(std::int32_t); }

}  // namespace

Kernel cuda_sets(const Buffer& to, std::int32_t value) {
  return [to, value](ExecutionContext& context) {
    const std::size_t count = count_of(to);
    set<<<blocks_for(count), kThreads, 0, cuda(context).stream()>>>(to.device_data<std::int32_t>(),
                                                                    count, value);
    check_cuda(cudaGetLastError(), "set");
  };
}

Kernel cuda_folds(const Buffer& to, const Buffer& from, std::int32_t factor) {
  return [to, from, factor](ExecutionContext& context) {
    const std::size_t count = count_of(to);
    fold<<<blocks_for(count), kThreads, 0, cuda(context).stream()>>>(
        to.device_data<std::uint32_t>(), from.device_data<std::uint32_t>(), count,
        static_cast<std::uint32_t>(factor));
    check_cuda(cudaGetLastError(), "fold");
  };
}

Kernel cuda_refuses_negatives(const Buffer& values) {
  return [values](ExecutionContext& context) {
    CudaContext& c = cuda(context);
    const KernelFault slot = c.fault_slot([](std::int64_t index, std::int32_t value) {
      return "element [" + std::to_string(index) + "] is " + std::to_string(value) +
             ", which is negative; be positive";
    });
    refuse_negatives<<<1, 1, 0, c.stream()>>>(values.device_data<std::int32_t>(), count_of(values),
                                              slot);
    check_cuda(cudaGetLastError(), "refuse_negatives");
  };
}

Kernel cuda_writes_nowhere() {
  return [](ExecutionContext& context) {
    write_to<<<1, 1, 0, cuda(context).stream()>>>(nullptr);
    check_cuda(cudaGetLastError(), "write_to");
  };
}

Kernel cuda_spins(std::chrono::nanoseconds time) {
  return [time](ExecutionContext& context) {
    spin<<<1, 1, 0, cuda(context).stream()>>>(static_cast<std::uint64_t>(time.count()));
    check_cuda(cudaGetLastError(), "spin");
  };
}

}  // namespace cajal::test
