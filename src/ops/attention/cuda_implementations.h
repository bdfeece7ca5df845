// The ways in which a CUDA device computes attention, each to be recorded by itself. The operations
// choose among them (cuda.cpp); tests and benchmarks may compare them.
#pragma once

#include <string>

#include "ops/attention/attention.h"
#include "runtime/cuda/context.h"

namespace cajal::ops::cuda_attention {

/// Our own kernels, for whatever attention.h allows: tensor cores for bf16 with heads up to 128
/// wide, plain FP32 arithmetic for the rest.
void run_own(CudaContext& context, const AttentionArgs& args);
void run_own(CudaContext& context, const AttentionBackwardArgs& args);

/// Our own kernel for Hopper: bf16, no dropout, heads 64 wide, tokens a multiple of 64. False, and
/// nothing launched, where it does not fit.
bool run_wgmma(CudaContext& context, const AttentionBackwardArgs& args);

/// The widest heads that cuDNN is asked for.
inline constexpr int kWidestCudnn = 128;

/// Why cuDNN takes no shape at all; empty where it is there.
std::string cudnn_absence();

/// cuDNN's fused attention: bf16, no dropout, heads up to 128 wide and a multiple of 8. False, and
/// nothing launched, where it is not to be had; then `reason`, unless null, says why.
bool run_cudnn(CudaContext& context, const AttentionArgs& args, std::string* reason = nullptr);
bool run_cudnn(CudaContext& context, const AttentionBackwardArgs& args,
               std::string* reason = nullptr);

}  // namespace cajal::ops::cuda_attention
