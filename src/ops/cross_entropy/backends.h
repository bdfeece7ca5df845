// The backends of cross_entropy.
#pragma once

#include "cajal/error.h"
#include "ops/cross_entropy/cross_entropy.h"

namespace cajal::ops {

/// The fault of target `index`.
Error target_outside(std::int64_t index, std::int32_t target, std::int64_t vocab);

}  // namespace cajal::ops

namespace cajal::ops::cpu_backend {
Kernel cross_entropy(const CrossEntropyArgs& args);
}  // namespace cajal::ops::cpu_backend

namespace cajal::ops::cuda_backend {
Kernel cross_entropy(const CrossEntropyArgs& args);
}  // namespace cajal::ops::cuda_backend
