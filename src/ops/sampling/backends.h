// The backends of sample.
#pragma once

#include "ops/sampling/sampling.h"

namespace cajal::ops::cpu_backend {
Kernel sample(const SamplingArgs& args);
}  // namespace cajal::ops::cpu_backend
