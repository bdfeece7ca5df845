#include <fmt/format.h>

#include "cajal/error.h"
#include "ops/attention/backends.h"
#include "ops/attention/cuda_implementations.h"
#include "ops/attention/cuda_rows.h"

namespace cajal::ops {
namespace cuda_attention {
namespace {

constexpr std::int64_t kBlock = 64;

/// Of tokens, over all heads.
std::int64_t blocks_of(const Sizes& sizes) {
  return (sizes.tokens + kBlock - 1) / kBlock * sizes.heads;
}

/// Blocks from which on cuDNN is quicker than our kernels for any card. Measured on an H200 with
/// 512 tokens and 8 heads 64 wide, us, ours / cuDNN: forward 8.2 / 9.6 at 64 blocks, 12.5 / 9.9 at
/// 128; backward 19.5 / 25.5 at 128 blocks, 35.1 / 28.0 at 256.
constexpr std::int64_t kFewestForCudnnForward = 128;
constexpr std::int64_t kFewestForCudnnBackward = 256;

/// Blocks from which on our kernel for Hopper is. On the same card and heads, us, the better of the
/// others / Hopper's: 28 / 16 at 256 blocks, 50 / 26 at 512, 146 / 92 at 2048; 12 heads of 1024
/// tokens: 41 / 21 at 192. At 64 blocks there is nothing in it.
constexpr std::int64_t kFewestForWgmma = 128;

std::int64_t fewest_for_cudnn(const AttentionArgs&) { return kFewestForCudnnForward; }
std::int64_t fewest_for_cudnn(const AttentionBackwardArgs&) { return kFewestForCudnnBackward; }

/// cuDNN has fused kernels for bf16 and heads that are a multiple of 8 wide, the quickest there are
/// forward where the problem fills the card. Its dropout draws other random numbers than
/// attention.h's, and its f32 would be computed in TF32. Where a value is infinite or NaN it may
/// also reach the queries of its block that do not see it; with our kernels for any card it does
/// not. run_cudnn may still say no: then it is our kernels' turn too.
template <class Args>
bool prefers_cudnn(const Args& args) {
  const Sizes sizes = sizes_of(args.qkv, args.heads);
  return args.qkv.dtype == DType::bf16 && args.dropout.probability == 0.0F &&
         sizes.width % 8 == 0 && sizes.width <= kWidestCudnn &&
         blocks_of(sizes) >= fewest_for_cudnn(args);
}

/// Hopper's instructions sum whole tiles, so that a NaN may reach its block's rows as with cuDNN.
bool prefers_wgmma(const AttentionBackwardArgs& args) {
  return blocks_of(sizes_of(args.qkv, args.heads)) >= kFewestForWgmma;
}

template <class T>
CacheProblem<T> problem_of(const CachedAttentionArgs& args, const KernelFault& fault) {
  CacheProblem<T> problem;
  problem.sizes = sizes_of(args.qkv, args.heads);
  problem.q = part_of<const T>(args.qkv, 0);
  problem.k = part_of<const T>(args.qkv, 1);
  problem.v = part_of<const T>(args.qkv, 2);
  problem.k_cache = rows_of<T>(args.k_cache);
  problem.v_cache = rows_of<T>(args.v_cache);
  problem.out = rows_of<T>(args.out);
  problem.position = args.position.data<std::int32_t>();
  problem.capacity = static_cast<int>(args.k_cache.dim(1));
  problem.vector = in_vectors<T>(problem.sizes, {args.qkv, args.k_cache, args.v_cache, args.out});
  problem.fault = fault;
  return problem;
}

/// Attention from the new tokens to the cache, once it holds them.
template <class T>
ForwardProblem<T> attention_of(const CacheProblem<T>& cache) {
  ForwardProblem<T> problem;
  problem.sizes = cache.sizes;
  problem.q = cache.q;
  problem.k = {cache.k_cache.data, cache.k_cache.batch_stride, cache.k_cache.token_stride};
  problem.v = {cache.v_cache.data, cache.v_cache.batch_stride, cache.v_cache.token_stride};
  problem.out = cache.out;
  problem.position = cache.position;
  problem.capacity = cache.capacity;
  problem.vector = cache.vector;
  return problem;
}

/// From so many new tokens on, blocks of queries pay, which read the cache once for all of them.
constexpr int kFewestForBlocks = 16;

template <class T>
void run_cached(CudaContext& context, const CacheProblem<T>& problem) {
  if (problem.sizes.tokens < kFewestForBlocks && decodes<T>(problem.sizes.width)) {
    cache_decode(context, problem);
    return;
  }
  cache_append(context, problem);
  const ForwardProblem<T> attention = attention_of(problem);
  if constexpr (sizeof(T) == 2) {
    if (mma_forward(context, attention)) return;
  }
  simt_forward(context, attention);
}

}  // namespace
}  // namespace cuda_attention

namespace cuda_backend {

Kernel attention(const AttentionArgs& args) {
  return [args, cudnn = cuda_attention::prefers_cudnn(args)](ExecutionContext& context) {
    if (cudnn && cuda_attention::run_cudnn(cuda(context), args)) return;
    cuda_attention::run_own(cuda(context), args);
  };
}

Kernel attention_backward(const AttentionBackwardArgs& args) {
  return [args, wgmma = cuda_attention::prefers_wgmma(args),
          cudnn = cuda_attention::prefers_cudnn(args)](ExecutionContext& context) {
    if (wgmma && cuda_attention::run_wgmma(cuda(context), args)) return;
    if (cudnn && cuda_attention::run_cudnn(cuda(context), args)) return;
    cuda_attention::run_own(cuda(context), args);
  };
}

Kernel cached_attention(const CachedAttentionArgs& args) {
  return [args](ExecutionContext& context) {
    CudaContext& device = cuda(context);
    const KernelFault fault =
        device.fault_slot([tokens = args.qkv.dim(1), capacity = args.k_cache.dim(1)](
                              std::int64_t, std::int32_t position) {
          return fmt::format(
              "cached_attention: {} tokens at position {} of a cache of {}; make the cache longer "
              "or start a new one",
              tokens, position, capacity);
        });
    if (args.qkv.dtype == DType::f32) {
      cuda_attention::run_cached(device, cuda_attention::problem_of<float>(args, fault));
    } else {
      cuda_attention::run_cached(device, cuda_attention::problem_of<__nv_bfloat16>(args, fault));
    }
  };
}

}  // namespace cuda_backend
}  // namespace cajal::ops
