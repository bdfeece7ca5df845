// The backends of sample.
#pragma once

#include "cajal/error.h"
#include "ops/sampling/sampling.h"

namespace cajal::ops {

/// The fault of a row of logits that nothing can be drawn from: the one at `nan_at` is NaN, or,
/// with -1, the largest is not finite.
Error undrawable(std::int64_t row, std::int64_t nan_at);

}  // namespace cajal::ops

namespace cajal::ops::cpu_backend {
Kernel sample(const SamplingArgs& args);
}  // namespace cajal::ops::cpu_backend

namespace cajal::ops::cuda_backend {
Kernel sample(const SamplingArgs& args);
}  // namespace cajal::ops::cuda_backend
