#include "ops/attention/cuda_implementations.h"

// For builds without cuDNN's frontend headers.
namespace cajal::ops::cuda_attention {
namespace {

bool refuse(std::string* reason) {
  if (reason != nullptr) *reason = cudnn_absence();
  return false;
}

}  // namespace

std::string cudnn_absence() { return "built without cuDNN's frontend headers"; }

bool run_cudnn(CudaContext&, const AttentionArgs&, std::string* reason) { return refuse(reason); }

bool run_cudnn(CudaContext&, const AttentionBackwardArgs&, std::string* reason) {
  return refuse(reason);
}

}  // namespace cajal::ops::cuda_attention
