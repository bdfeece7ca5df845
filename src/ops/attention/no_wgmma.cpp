#include "ops/attention/cuda_problem.h"

// For builds without code for sm_90a.
namespace cajal::ops::cuda_attention {

bool wgmma_backward(CudaContext&, const BackwardProblem<__nv_bfloat16>&) { return false; }

}  // namespace cajal::ops::cuda_attention
