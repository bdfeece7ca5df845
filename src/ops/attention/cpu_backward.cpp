#include <omp.h>

#include "ops/attention/backends.h"
#include "ops/attention/backward_head.h"
#include "ops/attention/split.h"
#include "ops/attention/tile.h"
#include "runtime/cpu/context.h"

namespace cajal::ops {
namespace attention_kernels {
namespace {

template <class Storage>
BackwardHead<Storage> head_of(const AttentionBackwardArgs& args, std::int64_t index) {
  const std::int64_t tokens = args.qkv.dim(1);
  const std::int64_t channels = args.out.dim(2);
  const std::int64_t width = channels / args.heads;
  const std::int64_t batch = index / args.heads;
  const std::int64_t column = index % args.heads * width;
  const std::int64_t at = batch * tokens * channels + column;
  const std::int64_t at_qkv = batch * tokens * 3 * channels + column;
  const Storage* qkv = args.qkv.data<Storage>() + at_qkv;

  BackwardHead<Storage> head;
  head.q = {qkv, 3 * channels, tokens};
  head.k = {qkv + channels, 3 * channels, tokens};
  head.v = {qkv + 2 * channels, 3 * channels, tokens};
  head.out = {args.out.data<Storage>() + at, channels, tokens};
  head.dout = {args.dout.data<Storage>() + at, channels, tokens};
  head.lse = args.lse.data<float>() + index * tokens;
  head.dq = args.dqkv.data<Storage>() + at_qkv;
  head.dk = head.dq + channels;
  head.dv = head.dk + channels;
  head.gradient_stride = 3 * channels;
  head.index = index;
  head.dropout = dropout_mask(args.dropout);
  return head;
}

/// Whether whole heads keep the threads busy. Cutting heads costs two products more than five.
bool whole_heads(std::int64_t heads, std::int64_t threads) {
  const std::int64_t turns = (heads + threads - 1) / threads;
  return 7 * heads >= 5 * turns * threads;
}

/// Part `number` of 2 * pieces of a head: first the pieces of keys, then those of queries.
BackwardPart part_of(std::int64_t blocks, std::int64_t pieces, std::int64_t number) {
  if (number < pieces) {
    const Range keys = piece_of(blocks, pieces, number);
    return {keys, {keys.first, blocks}, false, true};
  }
  const Range queries = piece_of(blocks, pieces, 2 * pieces - 1 - number);
  return {{0, queries.last}, queries, true, false};
}

template <class Storage, class Tile>
void run(CpuContext& context, const AttentionBackwardArgs& args) {
  const std::int64_t tokens = args.qkv.dim(1);
  const std::int64_t heads = args.qkv.dim(0) * args.heads;
  const std::int64_t blocks = block_count(tokens);
  const bool whole = whole_heads(heads, context.threads());
  const std::int64_t pieces = whole ? 1 : pieces_a_head(heads, blocks, context.threads());
  const std::int64_t parts = whole ? 1 : 2 * pieces;
  const int width = static_cast<int>(args.out.dim(2)) / args.heads;

  Workspace measure;
  BackwardKernel<Storage, Tile>(width, tokens, measure);
  std::byte* scratch = context.scratch(measure.bytes() * context.threads()).data();
#pragma omp parallel num_threads(context.threads())
  {
    const typename Tile::Session session;
    Workspace workspace(scratch + measure.bytes() * omp_get_thread_num());
    BackwardKernel<Storage, Tile> kernel(width, tokens, workspace);
#pragma omp for schedule(dynamic)
    for (std::int64_t task = 0; task < heads * parts; ++task) {
      const BackwardPart part =
          whole ? BackwardPart{{0, blocks}, {0, blocks}} : part_of(blocks, pieces, task / heads);
      kernel.run(head_of<Storage>(args, task % heads), part);
    }
  }
}

}  // namespace
}  // namespace attention_kernels

namespace cpu_backend {

Kernel attention_backward(const AttentionBackwardArgs& args) {
  return [args](ExecutionContext& context) {
    attention_kernels::with_tile(args.qkv.dtype, [&]<class Storage, class Tile>() {
      attention_kernels::run<Storage, Tile>(cpu(context), args);
    });
  };
}

}  // namespace cpu_backend
}  // namespace cajal::ops
