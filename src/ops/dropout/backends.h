// The backends of dropout.
#pragma once

#include "ops/dropout/dropout.h"

namespace cajal::ops::cpu_backend {
Kernel dropout(const DropoutArgs& args);
}  // namespace cajal::ops::cpu_backend

namespace cajal::ops::cuda_backend {
Kernel dropout(const DropoutArgs& args);
}  // namespace cajal::ops::cuda_backend
