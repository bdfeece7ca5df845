#include <fmt/format.h>
#include <omp.h>

#include <limits>

#include "cajal/error.h"
#include "ops/attention/backends.h"
#include "ops/attention/forward_head.h"
#include "ops/attention/split.h"
#include "ops/attention/tile.h"
#include "ops/cpu_parallel.h"
#include "ops/vector_math.h"
#include "runtime/cpu/context.h"

namespace cajal::ops {
namespace attention_kernels {
namespace {

template <class Storage>
ForwardHead<Storage> head_of(const CachedAttentionArgs& args, std::int64_t position,
                             std::int64_t index) {
  const std::int64_t tokens = args.qkv.dim(1);
  const std::int64_t channels = args.out.dim(2);
  const std::int64_t capacity = args.k_cache.dim(1);
  const std::int64_t batch = index / args.heads;
  const std::int64_t column = index % args.heads * (channels / args.heads);

  ForwardHead<Storage> head;
  head.q = {args.qkv.data<Storage>() + batch * tokens * 3 * channels + column, 3 * channels,
            tokens};
  head.k = {args.k_cache.data<Storage>() + batch * capacity * channels + column, channels,
            position + tokens};
  head.v = {args.v_cache.data<Storage>() + batch * capacity * channels + column, channels,
            position + tokens};
  head.out = args.out.data<Storage>() + batch * tokens * channels + column;
  head.out_stride = channels;
  head.position = position;
  head.index = index;
  return head;
}

template <class Storage>
void append(CpuContext& context, const CachedAttentionArgs& args, std::int64_t position) {
  const std::int64_t tokens = args.qkv.dim(1);
  const std::int64_t channels = args.out.dim(2);
  const std::int64_t capacity = args.k_cache.dim(1);
  parallel_chunks(context, args.qkv.dim(0) * tokens, row_grain(channels),
                  [&](std::int64_t, std::int64_t first, std::int64_t last) {
                    for (std::int64_t row = first; row < last; ++row) {
                      const Storage* k = args.qkv.data<Storage>() + (3 * row + 1) * channels;
                      const std::int64_t to =
                          (row / tokens * capacity + position + row % tokens) * channels;
                      std::copy_n(k, channels, args.k_cache.data<Storage>() + to);
                      std::copy_n(k + channels, channels, args.v_cache.data<Storage>() + to);
                    }
                  });
}

/// Many new tokens: the blocked kernel.
template <class Storage, class Tile>
void run_blocks(CpuContext& context, const CachedAttentionArgs& args, std::int64_t position) {
  const std::int64_t heads = args.qkv.dim(0) * args.heads;
  const std::int64_t keys = position + args.qkv.dim(1);
  const std::int64_t blocks = block_count(args.qkv.dim(1));
  const std::int64_t pieces = pieces_a_head(heads, blocks, context.threads());
  const int width = static_cast<int>(args.out.dim(2)) / args.heads;

  Workspace measure;
  ForwardKernel<Storage, Tile>(width, keys, measure);
  std::byte* scratch = context.scratch(measure.bytes() * context.threads()).data();
#pragma omp parallel num_threads(context.threads())
  {
    const typename Tile::Session session;
    Workspace workspace(scratch + measure.bytes() * omp_get_thread_num());
    ForwardKernel<Storage, Tile> kernel(width, keys, workspace);
#pragma omp for schedule(dynamic)
    for (std::int64_t task = 0; task < heads * pieces; ++task) {
      const Range queries = piece_of(blocks, pieces, pieces - 1 - task / heads);
      kernel.run(head_of<Storage>(args, position, task % heads), queries.first, queries.last);
    }
  }
}

/// One query against its keys, with one pass over keys and one over values. `scores` has room for
/// every key and `sums` for the head's width.
template <class Storage>
void run_query(const ForwardHead<Storage>& head, std::int64_t token, int width, float* scores,
               float* sums) {
  const std::int64_t keys = head.position + token + 1;
  const Storage* q = head.q.data + token * head.q.stride;
  const float scale = 1.0F / std::sqrt(static_cast<float>(width));
  float max = -std::numeric_limits<float>::infinity();
  for (std::int64_t j = 0; j < keys; ++j) {
    const Storage* k = head.k.data + j * head.k.stride;
    float score = 0.0F;
#pragma omp simd reduction(+ : score)
    for (int i = 0; i < width; ++i) score += static_cast<float>(q[i]) * static_cast<float>(k[i]);
    scores[j] = score * scale;
    max = scores[j] > max ? scores[j] : max;
  }

  float total = 0.0F;
#pragma omp simd reduction(+ : total)
  for (std::int64_t j = 0; j < keys; ++j) {
    scores[j] = vector_exp(scores[j] - max);
    total += scores[j];
  }

  std::fill_n(sums, width, 0.0F);
  for (std::int64_t j = 0; j < keys; ++j) {
    const Storage* v = head.v.data + j * head.v.stride;
#pragma omp simd
    for (int i = 0; i < width; ++i) sums[i] += scores[j] * static_cast<float>(v[i]);
  }
  Storage* out = head.out + token * head.out_stride;
  for (int i = 0; i < width; ++i) store(out[i], sums[i] / total);
}

/// A few new tokens, one as a rule: the time goes into reading the cache, so nothing is packed.
template <class Storage>
void run_queries(CpuContext& context, const CachedAttentionArgs& args, std::int64_t position) {
  const std::int64_t tokens = args.qkv.dim(1);
  const std::int64_t heads = args.qkv.dim(0) * args.heads;
  const int width = static_cast<int>(args.out.dim(2)) / args.heads;
  const auto keys = static_cast<std::size_t>(position + tokens);

  Workspace measure;
  measure.take<float>(keys);
  measure.take<float>(static_cast<std::size_t>(width));
  std::byte* scratch = context.scratch(measure.bytes() * context.threads()).data();
#pragma omp parallel num_threads(context.threads())
  {
    Workspace workspace(scratch + measure.bytes() * omp_get_thread_num());
    auto* scores = workspace.take<float>(keys);
    auto* sums = workspace.take<float>(static_cast<std::size_t>(width));
#pragma omp for schedule(static)
    for (std::int64_t task = 0; task < heads * tokens; ++task) {
      run_query(head_of<Storage>(args, position, task / tokens), task % tokens, width, scores,
                sums);
    }
  }
}

/// From so many new tokens on, packing the cache pays.
constexpr std::int64_t kFewestForBlocks = 16;

template <class Storage, class Tile>
void run_cached(CpuContext& context, const CachedAttentionArgs& args) {
  const std::int64_t position = *args.position.data<std::int32_t>();
  const std::int64_t tokens = args.qkv.dim(1);
  const std::int64_t capacity = args.k_cache.dim(1);
  if (position < 0 || position + tokens > capacity) {
    throw Error(fmt::format("cached_attention: {} tokens at position {} of a cache of {}", tokens,
                            position, capacity),
                "make the cache longer or start a new one");
  }
  append<Storage>(context, args, position);
  if (tokens < kFewestForBlocks) {
    run_queries<Storage>(context, args, position);
  } else {
    run_blocks<Storage, Tile>(context, args, position);
  }
}

}  // namespace
}  // namespace attention_kernels

namespace cpu_backend {

Kernel cached_attention(const CachedAttentionArgs& args) {
  return [args](ExecutionContext& context) {
    attention_kernels::with_tile(args.qkv.dtype, [&]<class Storage, class Tile>() {
      attention_kernels::run_cached<Storage, Tile>(cpu(context), args);
    });
  };
}

}  // namespace cpu_backend
}  // namespace cajal::ops
