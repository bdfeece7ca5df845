// Picks an operation's backend for the device that a command buffer records for.
#pragma once

#include <string_view>

#include "cajal/command_buffer.h"
#include "cajal/device.h"

namespace cajal::ops {

/// What makes an operation's kernel on each kind of device; null where there is none.
template <class Args>
struct Backends {
  Kernel (*cpu)(const Args&) = nullptr;
  Kernel (*cuda)(const Args&) = nullptr;
  Kernel (*metal)(const Args&) = nullptr;
};

[[noreturn]] void throw_no_kernel(std::string_view operation, const Device& device);

/// Throws InvalidArgument that names operation and device where there is no kernel.
template <class Args>
Kernel kernel_for(const Device& device, std::string_view operation, const Backends<Args>& backends,
                  const Args& args) {
  auto make = backends.cpu;
  if (device.kind() == DeviceKind::cuda) make = backends.cuda;
  if (device.kind() == DeviceKind::metal) make = backends.metal;
  if (make == nullptr) throw_no_kernel(operation, device);
  return make(args);
}

}  // namespace cajal::ops
