#include "runtime/cuda/cuda_device.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <optional>
#include <string>

#include "cajal/error.h"
#include "runtime/backend.h"
#include "runtime/cuda/context.h"
#include "runtime/cuda/cuda_queue.h"
#include "runtime/cuda/memory.h"
#include "runtime/cuda/peak.h"
#include "runtime/cuda/schedule.h"

namespace cajal {
namespace {

/// Memory left to the driver, its kernels and the libraries' workspaces.
constexpr std::size_t kKeptFree = std::size_t{768} << 20;

/// The number of "cuda:N"; 0 for "cuda".
int index_of(std::string_view name) {
  constexpr std::string_view kPrefix = "cuda:";
  if (name == "cuda") return 0;
  int index = -1;
  if (name.starts_with(kPrefix)) {
    const char* const end = name.data() + name.size();
    const auto [stop, status] = std::from_chars(name.data() + kPrefix.size(), end, index);
    if (status != std::errc{} || stop != end) index = -1;
  }
  if (index < 0) {
    throw InvalidArgument(fmt::format("there is no device '{}'", name),
                          "use --device cuda, or cuda:N for the card number N");
  }
  return index;
}

void require_card(int index) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) {
    throw InvalidArgument(
        fmt::format("no NVIDIA GPU can be used for --device cuda: {}", cudaGetErrorString(status)),
        "check that nvidia-smi shows a card, or use --device cpu");
  }
  if (index >= count) {
    throw InvalidArgument(fmt::format("there is no cuda:{}: NVIDIA GPUs here: {}", index, count),
                          count == 0
                              ? "use --device cpu"
                              : fmt::format("use --device cuda:N with N from 0 to {}", count - 1));
  }
}

CudaProperties properties_of(int index) {
  cudaDeviceProp read{};
  check_cuda(cudaGetDeviceProperties(&read, index), "cudaGetDeviceProperties");
  CudaProperties properties;
  properties.index = index;
  properties.multiprocessors = read.multiProcessorCount;
  properties.major = read.major;
  properties.minor = read.minor;
  properties.l2_bytes = static_cast<std::size_t>(read.l2CacheSize);
  properties.shared_bytes_per_block = read.sharedMemPerBlockOptin;
  properties.name = std::data(read.name);
  return properties;
}

void require_architecture(const CudaProperties& properties) {
  constexpr int kOldest = 8;
  if (properties.major >= kOldest) return;
  throw InvalidArgument(fmt::format("{} has compute capability {}.{}, cajal needs 8.0 or newer",
                                    properties.name, properties.major, properties.minor),
                        "use --device cpu");
}

DeviceInfo describe(const CudaProperties& properties) {
  std::size_t free = 0;
  std::size_t total = 0;
  check_cuda(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  DeviceInfo info;
  info.name = fmt::format("cuda:{}", properties.index);
  info.description = properties.name;
  info.memory_bytes = total;
  info.memory_available = free > kKeptFree ? free - kKeptFree : 0;
  info.supports_bf16 = true;
  info.supports_fp8 = properties.major > 8 || (properties.major == 8 && properties.minor >= 9);
  info.overlapping_commands = kOverlappingCommands;
  return info;
}

class CudaDevice final : public Device {
 public:
  CudaDevice(const CudaProperties& properties, const DeviceOptions& options)
      : properties_(properties),
        info_(describe(properties)),
        memory_(std::make_shared<CudaMemory>(properties.index)),
        checks_host_access_(options.check_host_access.value_or(false)) {}

  DeviceKind kind() const override { return DeviceKind::cuda; }
  const DeviceInfo& info() const override { return info_; }
  std::optional<double> peak_flops(DType dtype) const override {
    return cuda_peak_flops(properties_.name, dtype);
  }
  bool checks_host_access() const override { return checks_host_access_; }
  std::unique_ptr<QueueBackend> make_queue_backend(CompletionSink& sink) override {
    return std::make_unique<CudaQueue>(*this, properties_, memory_, sink);
  }

 protected:
  std::shared_ptr<std::byte> allocate_device(std::size_t bytes) override {
    return memory_->allocate(bytes);
  }
  std::shared_ptr<std::byte> allocate_host(std::size_t bytes) override {
    return allocate_pinned(bytes);
  }

 private:
  CudaProperties properties_;
  DeviceInfo info_;
  std::shared_ptr<CudaMemory> memory_;
  bool checks_host_access_;
};

}  // namespace

bool cuda_built() { return true; }

std::shared_ptr<Device> open_cuda_device(std::string_view name, const DeviceOptions& options) {
  const int index = index_of(name);
  require_card(index);
  check_cuda(cudaSetDevice(index), "cudaSetDevice");
  const CudaProperties properties = properties_of(index);
  require_architecture(properties);
  return std::make_shared<CudaDevice>(properties, options);
}

}  // namespace cajal
