// The backends of linear.
#pragma once

#include "ops/linear/linear.h"

namespace cajal::ops::cpu_backend {
Kernel linear(const LinearArgs& args);
Kernel linear_backward_input(const LinearBackwardInputArgs& args);
Kernel linear_backward_weight(const LinearBackwardWeightArgs& args);
}  // namespace cajal::ops::cpu_backend

namespace cajal::ops::cuda_backend {
Kernel linear(const LinearArgs& args);
Kernel linear_backward_input(const LinearBackwardInputArgs& args);
Kernel linear_backward_weight(const LinearBackwardWeightArgs& args);
}  // namespace cajal::ops::cuda_backend
