// The backends of gelu.
#pragma once

#include "ops/gelu/gelu.h"

namespace cajal::ops::cpu_backend {
Kernel gelu(const GeluArgs& args);
Kernel gelu_backward(const GeluBackwardArgs& args);
}  // namespace cajal::ops::cpu_backend

namespace cajal::ops::cuda_backend {
Kernel gelu(const GeluArgs& args);
Kernel gelu_backward(const GeluBackwardArgs& args);
}  // namespace cajal::ops::cuda_backend
