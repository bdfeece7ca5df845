// The backends of adamw.
#pragma once

#include "ops/adamw/adamw.h"

namespace cajal::ops::cpu_backend {
Kernel adamw(const AdamWArgs& args);
}  // namespace cajal::ops::cpu_backend

namespace cajal::ops::cuda_backend {
Kernel adamw(const AdamWArgs& args);
}  // namespace cajal::ops::cuda_backend
