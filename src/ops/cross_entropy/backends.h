// The backends of cross_entropy.
#pragma once

#include "ops/cross_entropy/cross_entropy.h"

namespace cajal::ops::cpu_backend {
Kernel target_scale(const TargetScaleArgs& args);
Kernel cross_entropy(const CrossEntropyArgs& args);
}  // namespace cajal::ops::cpu_backend
