#include <type_traits>

#include "ops/attention/cuda_implementations.h"
#include "ops/attention/cuda_rows.h"
#include "ops/philox.h"

namespace cajal::ops::cuda_attention {
namespace {

Dropout dropout_of(const AttentionDropout& dropout) {
  if (dropout.probability == 0.0F) return {};
  return {.seed = dropout.seed.data<std::int32_t>(),
          .stream = dropout.stream,
          .threshold = philox_threshold(dropout.probability),
          .kept = 1.0F / (1.0F - dropout.probability)};
}

template <class T>
ForwardProblem<T> problem_of(const AttentionArgs& args) {
  ForwardProblem<T> problem;
  problem.sizes = sizes_of(args.qkv, args.heads);
  problem.q = part_of<const T>(args.qkv, 0);
  problem.k = part_of<const T>(args.qkv, 1);
  problem.v = part_of<const T>(args.qkv, 2);
  problem.out = rows_of<T>(args.out);
  problem.lse = args.lse.data<float>();
  problem.capacity = problem.sizes.tokens;
  problem.vector = in_vectors<T>(problem.sizes, {args.qkv, args.out});
  problem.dropout = dropout_of(args.dropout);
  return problem;
}

template <class T>
BackwardProblem<T> problem_of(const AttentionBackwardArgs& args) {
  BackwardProblem<T> problem;
  problem.sizes = sizes_of(args.qkv, args.heads);
  problem.q = part_of<const T>(args.qkv, 0);
  problem.k = part_of<const T>(args.qkv, 1);
  problem.v = part_of<const T>(args.qkv, 2);
  problem.out = rows_of<const T>(args.out);
  problem.dout = rows_of<const T>(args.dout);
  problem.lse = args.lse.data<float>();
  problem.dq = part_of<T>(args.dqkv, 0);
  problem.dk = part_of<T>(args.dqkv, 1);
  problem.dv = part_of<T>(args.dqkv, 2);
  problem.vector = in_vectors<T>(problem.sizes, {args.qkv, args.out, args.dout, args.dqkv});
  problem.dropout = dropout_of(args.dropout);
  return problem;
}

}  // namespace

void run_own(CudaContext& context, const AttentionArgs& args) {
  if (args.qkv.dtype == DType::f32) {
    simt_forward(context, problem_of<float>(args));
    return;
  }
  const auto problem = problem_of<__nv_bfloat16>(args);
  if (!mma_forward(context, problem)) simt_forward(context, problem);
}

bool run_wgmma(CudaContext& context, const AttentionBackwardArgs& args) {
  return args.qkv.dtype == DType::bf16 && wgmma_backward(context, problem_of<__nv_bfloat16>(args));
}

void run_own(CudaContext& context, const AttentionBackwardArgs& args) {
  if (args.qkv.dtype == DType::f32) {
    simt_backward(context, problem_of<float>(args));
    return;
  }
  const auto problem = problem_of<__nv_bfloat16>(args);
  if (!mma_backward(context, problem)) simt_backward(context, problem);
}

}  // namespace cajal::ops::cuda_attention
