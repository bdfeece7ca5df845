// The processor that cajal itself runs on.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cajal/device.h"

namespace cajal {

class CpuDevice final : public Device {
 public:
  explicit CpuDevice(const DeviceOptions& options);

  DeviceKind kind() const override { return DeviceKind::cpu; }
  const DeviceInfo& info() const override { return info_; }
  /// Clock rates change with load and width of the vectors: not known.
  std::optional<double> peak_flops(DType) const override { return std::nullopt; }
  bool checks_host_access() const override { return checks_host_access_; }
  std::unique_ptr<QueueBackend> make_queue_backend(CompletionSink& sink) override;

 protected:
  std::shared_ptr<std::byte> allocate_device(std::size_t bytes) override;
  std::shared_ptr<std::byte> allocate_host(std::size_t bytes) override;

 private:
  DeviceInfo info_;
  bool checks_host_access_ = false;
};

/// Throws InvalidArgument for an impossible thread count, and Error when this build uses
/// instructions that the processor lacks.
std::shared_ptr<Device> open_cpu_device(const DeviceOptions& options);

}  // namespace cajal
