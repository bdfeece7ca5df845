// What the CUDA kernels of attention are given.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "runtime/cuda/context.h"

namespace cajal::ops::cuda_attention {

/// Rows of a [batch, tokens, ..] tensor: head h of sequence b has token t's features at
/// data + b * batch_stride + t * token_stride + h * width.
template <class T>
struct HeadRows {
  T* data = nullptr;
  std::int64_t batch_stride = 0;
  std::int64_t token_stride = 0;
};

/// attention.h says which random word belongs to which probability.
struct Dropout {
  const std::int32_t* seed = nullptr;  ///< Null: no dropout.
  std::uint32_t stream = 0;
  std::uint32_t threshold = 0;  ///< Words from here on keep their probability.
  float kept = 1.0F;            ///< Factor of what is kept.
};

struct Sizes {
  std::int64_t heads = 0;  ///< Over the batch.
  int heads_a_sequence = 1;
  int tokens = 0;  ///< Queries of a sequence.
  int width = 0;   ///< Features of a head.
};

/// Query t stands at *position + t and sees the keys up to there.
template <class T>
struct ForwardProblem {
  Sizes sizes;
  HeadRows<const T> q;
  HeadRows<const T> k;
  HeadRows<const T> v;
  HeadRows<T> out;
  float* lse = nullptr;                    ///< [heads][tokens]; optional.
  const std::int32_t* position = nullptr;  ///< Null is 0.
  int capacity = 0;                        ///< Rows that k and v have for a sequence.
  bool vector = false;                     ///< Every row starts at a multiple of 16 bytes.
  Dropout dropout;
};

template <class T>
struct BackwardProblem {
  Sizes sizes;
  HeadRows<const T> q;
  HeadRows<const T> k;
  HeadRows<const T> v;
  HeadRows<const T> out;
  HeadRows<const T> dout;
  const float* lse = nullptr;  ///< [heads][tokens]
  HeadRows<T> dq;
  HeadRows<T> dk;
  HeadRows<T> dv;
  bool vector = false;  ///< Every row starts at a multiple of 16 bytes.
  Dropout dropout;
};

/// Tensor cores: bf16, heads up to this width.
inline constexpr int kWidestMma = 128;

/// False, and nothing launched, where the card has not the shared memory.
bool mma_forward(CudaContext& context, const ForwardProblem<__nv_bfloat16>& problem);
bool mma_backward(CudaContext& context, const BackwardProblem<__nv_bfloat16>& problem);

/// Hopper's asynchronous tensor cores: heads 64 wide, tokens in whole tiles of 64, no dropout.
/// False, and nothing launched, for anything else.
bool wgmma_backward(CudaContext& context, const BackwardProblem<__nv_bfloat16>& problem);

/// Any width, plain FP32 arithmetic.
template <class T>
void simt_forward(CudaContext& context, const ForwardProblem<T>& problem);
template <class T>
void simt_backward(CudaContext& context, const BackwardProblem<T>& problem);

/// The rows of new tokens and the cache that they go to.
template <class T>
struct CacheProblem {
  Sizes sizes;
  HeadRows<const T> q;
  HeadRows<const T> k;  ///< Of the new tokens.
  HeadRows<const T> v;
  HeadRows<T> k_cache;
  HeadRows<T> v_cache;
  HeadRows<T> out;
  const std::int32_t* position = nullptr;
  int capacity = 0;
  bool vector = false;  ///< Every row starts at a multiple of 16 bytes.
  KernelFault fault;
};

/// Whether cache_decode takes heads of this width.
template <class T>
bool decodes(int width);

/// Appends and attends with a block for every query: for a few of them.
template <class T>
void cache_decode(CudaContext& context, const CacheProblem<T>& problem);

/// Appends alone.
template <class T>
void cache_append(CudaContext& context, const CacheProblem<T>& problem);

}  // namespace cajal::ops::cuda_attention
