#include "runtime/cpu/cpu_device.h"

#include <fmt/format.h>

#include "cajal/error.h"
#include "runtime/backend.h"
#include "runtime/cpu/aligned_memory.h"
#include "runtime/cpu/cpu_queue.h"
#include "runtime/cpu/host_info.h"
#include "runtime/cpu/instructions.h"
#include "runtime/in_flight.h"

namespace cajal {
namespace {

int checked_threads(int requested) {
  constexpr int kMost = 1024;
  if (requested < 0 || requested > kMost) {
    throw InvalidArgument(fmt::format("{} threads cannot be", requested),
                          fmt::format("use 1 to {}, or 0 for every core", kMost));
  }
  return requested > 0 ? requested : usable_cores();
}

DeviceInfo describe_cpu(const DeviceOptions& options) {
  const HostMemory memory = host_memory();
  DeviceInfo info;
  info.name = "cpu";
  info.description = processor_name();
  info.memory_bytes = memory.total;
  info.memory_available = memory.available;
  info.threads = checked_threads(options.threads);
  info.supports_bf16 = cpu_has_bf16();
  if (!info.supports_bf16) {
    info.bf16_remedy = "this CPU has neither AVX512-BF16 nor AMX; use --dtype fp32";
  }
  info.shares_host_memory = true;
  return info;
}

}  // namespace

CpuDevice::CpuDevice(const DeviceOptions& options)
    : info_(describe_cpu(options)),
      checks_host_access_(options.check_host_access.value_or(kCheckHostAccess)) {}

std::unique_ptr<QueueBackend> CpuDevice::make_queue_backend(CompletionSink& sink) {
  return std::make_unique<CpuQueue>(info_, sink);
}

std::shared_ptr<std::byte> CpuDevice::allocate_device(std::size_t bytes) {
  return allocate_aligned(bytes);
}

std::shared_ptr<std::byte> CpuDevice::allocate_host(std::size_t bytes) {
  return allocate_aligned(bytes);
}

std::shared_ptr<Device> open_cpu_device(const DeviceOptions& options) {
  require_built_instructions();
  return std::make_shared<CpuDevice>(options);
}

}  // namespace cajal
