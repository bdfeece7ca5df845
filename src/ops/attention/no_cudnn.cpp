#include "ops/attention/cuda_implementations.h"

// For builds without cuDNN's frontend headers.
namespace cajal::ops::cuda_attention {
namespace {

bool refuse(std::string* reason) {
  if (reason != nullptr) *reason = "built without cuDNN's frontend headers";
  return false;
}

}  // namespace

bool run_cudnn(CudaContext&, const AttentionArgs&, std::string* reason) { return refuse(reason); }

bool run_cudnn(CudaContext&, const AttentionBackwardArgs&, std::string* reason) {
  return refuse(reason);
}

}  // namespace cajal::ops::cuda_attention
