// The CUDA device: one NVIDIA GPU.
#pragma once

#include <memory>
#include <string_view>

#include "cajal/device.h"

namespace cajal {

/// Whether this build has the CUDA backend.
bool cuda_built();

/// Opens "cuda" (the first card) or "cuda:N". Throws InvalidArgument when the build, the driver or
/// the card is missing, and says which.
std::shared_ptr<Device> open_cuda_device(std::string_view name, const DeviceOptions& options);

}  // namespace cajal
