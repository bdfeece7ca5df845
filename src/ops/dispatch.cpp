#include "ops/dispatch.h"

#include <fmt/format.h>

#include "cajal/error.h"

namespace cajal::ops {

void throw_no_kernel(std::string_view operation, const Device& device) {
  throw InvalidArgument(fmt::format("{}: no kernel for device {}", operation, device.info().name),
                        "use the device cpu");
}

}  // namespace cajal::ops
