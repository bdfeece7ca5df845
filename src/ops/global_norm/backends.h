// The backends of global_norm.
#pragma once

#include "ops/global_norm/global_norm.h"

namespace cajal::ops::cpu_backend {
Kernel global_norm(const GlobalNormArgs& args);
}  // namespace cajal::ops::cpu_backend

namespace cajal::ops::cuda_backend {
Kernel global_norm(const GlobalNormArgs& args);
}  // namespace cajal::ops::cuda_backend
