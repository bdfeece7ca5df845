// Stands in for the CUDA backend where the build has no CUDA toolkit.
#include "cajal/error.h"
#include "runtime/cuda/cuda_device.h"

namespace cajal {

bool cuda_built() { return false; }

std::shared_ptr<Device> open_cuda_device(std::string_view, const DeviceOptions&) {
  throw InvalidArgument("this build has no cuda backend",
                        "use --device cpu, or build where the CUDA toolkit (nvcc) is installed");
}

}  // namespace cajal
