#include <omp.h>

#include "ops/attention/backends.h"
#include "ops/attention/forward_head.h"
#include "ops/attention/split.h"
#include "ops/attention/tile.h"
#include "runtime/cpu/context.h"

namespace cajal::ops {
namespace attention_kernels {
namespace {

template <class Storage>
ForwardHead<Storage> head_of(const AttentionArgs& args, std::int64_t index) {
  const std::int64_t tokens = args.qkv.dim(1);
  const std::int64_t channels = args.out.dim(2);
  const std::int64_t width = channels / args.heads;
  const std::int64_t batch = index / args.heads;
  const std::int64_t column = index % args.heads * width;
  const Storage* qkv = args.qkv.data<Storage>() + batch * tokens * 3 * channels + column;

  ForwardHead<Storage> head;
  head.q = {qkv, 3 * channels, tokens};
  head.k = {qkv + channels, 3 * channels, tokens};
  head.v = {qkv + 2 * channels, 3 * channels, tokens};
  head.out = args.out.data<Storage>() + batch * tokens * channels + column;
  head.out_stride = channels;
  head.lse = args.lse.data<float>() + index * tokens;
  head.index = index;
  head.dropout = dropout_mask(args.dropout);
  return head;
}

template <class Storage, class Tile>
void run(CpuContext& context, const AttentionArgs& args) {
  const std::int64_t tokens = args.qkv.dim(1);
  const std::int64_t heads = args.qkv.dim(0) * args.heads;
  const std::int64_t blocks = block_count(tokens);
  const std::int64_t pieces = pieces_a_head(heads, blocks, context.threads());
  const int width = static_cast<int>(args.out.dim(2)) / args.heads;

  Workspace measure;
  ForwardKernel<Storage, Tile>(width, tokens, measure);
  std::byte* scratch = context.scratch(measure.bytes() * context.threads()).data();
#pragma omp parallel num_threads(context.threads())
  {
    const typename Tile::Session session;
    Workspace workspace(scratch + measure.bytes() * omp_get_thread_num());
    ForwardKernel<Storage, Tile> kernel(width, tokens, workspace);
#pragma omp for schedule(dynamic)
    for (std::int64_t task = 0; task < heads * pieces; ++task) {
      // Late queries see the most keys: they start first.
      const Range queries = piece_of(blocks, pieces, pieces - 1 - task / heads);
      kernel.run(head_of<Storage>(args, task % heads), queries.first, queries.last);
    }
  }
}

}  // namespace
}  // namespace attention_kernels

namespace cpu_backend {

Kernel attention(const AttentionArgs& args) {
  return [args](ExecutionContext& context) {
    attention_kernels::with_tile(args.qkv.dtype, [&]<class Storage, class Tile>() {
      attention_kernels::run<Storage, Tile>(cpu(context), args);
    });
  };
}

}  // namespace cpu_backend
}  // namespace cajal::ops
