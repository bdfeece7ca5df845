// The backends of zero and convert.
#pragma once

#include "ops/fill/fill.h"

namespace cajal::ops {

struct ConvertArgs {
  Tensor from;
  Tensor to;
};

namespace cpu_backend {
Kernel zero(const Tensor& x);
Kernel convert(const ConvertArgs& args);
}  // namespace cpu_backend

namespace cuda_backend {
Kernel zero(const Tensor& x);
Kernel convert(const ConvertArgs& args);
}  // namespace cuda_backend

}  // namespace cajal::ops
