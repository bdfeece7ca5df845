// cuDNN's fused attention through its C++ front end, planned once for a shape.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "runtime/cuda/context.h"

namespace cudnn_frontend::graph {
class Graph;
}

namespace cajal::ops::cuda_attention {

enum class CudnnPass : std::uint8_t { forward, backward };

struct CudnnShape {
  CudnnPass pass = CudnnPass::forward;
  std::int64_t batch = 0;
  std::int64_t tokens = 0;
  std::int64_t heads = 0;
  std::int64_t width = 0;
};

/// The tensors of a plan, numbered; the backward pass uses all of them.
enum class CudnnTensor : std::uint8_t { q, k, v, out, lse, dout, dq, dk, dv };
inline constexpr std::size_t kCudnnTensors = 9;

/// Addresses by CudnnTensor.
using CudnnAddresses = std::array<void*, kCudnnTensors>;

/// A library handle, created where the library can be loaded.
class CudnnLibrary {
 public:
  CudnnLibrary();

  /// Null where there is no library; then refusal() says why.
  void* handle() const { return handle_.get(); }
  const std::string& refusal() const { return refusal_; }

 private:
  std::shared_ptr<void> handle_;
  std::string refusal_;
};

/// Rows of q, k and v as parts of one packed tensor; causal, scaled by 1 / sqrt(width), with sums
/// in FP32 and the same bits at every run. The plan that the library's heuristics put first is
/// taken: a choice by timing could change the bits from one run of the program to the next.
class CudnnAttention {
 public:
  CudnnAttention(const CudnnLibrary& library, const CudnnShape& shape);

  /// Empty when execute() may be called, else why not.
  const std::string& refusal() const { return refusal_; }
  void execute(CudaContext& context, const CudnnAddresses& addresses);

 private:
  void build();

  CudnnLibrary library_;
  std::shared_ptr<cudnn_frontend::graph::Graph> graph_;
  std::size_t workspace_ = 0;
  std::string refusal_;
};

}  // namespace cajal::ops::cuda_attention
