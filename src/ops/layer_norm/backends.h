// The backends of layer_norm.
#pragma once

#include "ops/layer_norm/layer_norm.h"

namespace cajal::ops::cpu_backend {
Kernel layer_norm(const LayerNormArgs& args);
Kernel layer_norm_backward(const LayerNormBackwardArgs& args);
}  // namespace cajal::ops::cpu_backend

namespace cajal::ops::cuda_backend {
Kernel layer_norm(const LayerNormArgs& args);
Kernel layer_norm_backward(const LayerNormBackwardArgs& args);
}  // namespace cajal::ops::cuda_backend
