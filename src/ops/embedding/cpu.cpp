#include "ops/cpu_parallel.h"
#include "ops/embedding/backends.h"
#include "ops/vector_math.h"

namespace cajal::ops::cpu_backend {
namespace {

void check_ids(const Tensor& tokens, std::int64_t vocab) {
  const std::int32_t* ids = tokens.data<std::int32_t>();
  const auto limit = static_cast<std::uint32_t>(vocab);
  for (std::int64_t n = 0; n < tokens.size(); ++n) {
    if (static_cast<std::uint32_t>(ids[n]) < limit) continue;
    throw token_outside(n, tokens.dim(1), ids[n], vocab);
  }
}

std::int64_t first_position(const EmbeddingArgs& args) {
  if (!args.position) return 0;
  const std::int32_t position = *args.position.data<std::int32_t>();
  if (position < 0 || position + args.tokens.dim(1) > args.wpe.dim(0)) {
    throw positions_outside(position, args.tokens.dim(1), args.wpe.dim(0));
  }
  return position;
}

template <class W, class X>
Kernel forward_kernel(const EmbeddingArgs& args) {
  return [args](ExecutionContext& context) {
    check_ids(args.tokens, args.wte.dim(0));
    const std::int64_t length = args.tokens.dim(1);
    const std::int64_t width = args.x.dim(-1);
    const std::int32_t* ids = args.tokens.data<std::int32_t>();
    const W* wte = args.wte.data<W>();
    const W* wpe = args.wpe.data<W>() + first_position(args) * width;
    X* x = args.x.data<X>();
    parallel_chunks(cpu(context), args.tokens.size(), row_grain(width),
                    [=](std::int64_t, std::int64_t first, std::int64_t last) {
                      for (std::int64_t n = first; n < last; ++n) {
                        const W* token = wte + ids[n] * width;
                        const W* place = wpe + n % length * width;
                        X* row = x + n * width;
#pragma omp simd
                        for (std::int64_t c = 0; c < width; ++c) {
                          store(row[c],
                                static_cast<float>(token[c]) + static_cast<float>(place[c]));
                        }
                      }
                    });
  };
}

template <class X>
[[gnu::always_inline]] inline void add_to(float* sum, const X* row, std::int64_t first,
                                          std::int64_t last) {
#pragma omp simd
  for (std::int64_t c = first; c < last; ++c) sum[c] += static_cast<float>(row[c]);
}

/// Every task owns a range of channels of the rows whose id leaves its remainder, and adds to them
/// in the order of the tokens: no atomics, no work per row of the table, and the same bits whatever
/// the number of tasks.
template <class X>
void add_tokens(const CpuContext& context, const EmbeddingBackwardArgs& args) {
  // Four cache lines a row are worth the pass over the ids; more threads share the rows instead.
  constexpr std::int64_t kChannels = 64;
  const std::int64_t width = args.dx.dim(-1);
  const std::int64_t blocks =
      std::clamp<std::int64_t>(width / kChannels, 1, std::int64_t{context.threads()});
  const std::int64_t groups = std::max<std::int64_t>(1, context.threads() / blocks);
  const std::int64_t lines = chunk_count(width, 16);
  const std::int64_t count = args.tokens.size();
  const std::int32_t* ids = args.tokens.data<std::int32_t>();
  const X* dx = args.dx.data<X>();
  float* dwte = args.dwte.data<float>();
  parallel_chunks(context, blocks * groups, 1, [=](std::int64_t task, std::int64_t, std::int64_t) {
    const std::int64_t block = task % blocks;
    const std::int64_t group = task / blocks;
    const std::int64_t first = lines * block / blocks * 16;
    const std::int64_t last = std::min(width, lines * (block + 1) / blocks * 16);
    for (std::int64_t n = 0; n < count; ++n) {
      if (groups > 1 && ids[n] % groups != group) continue;
      add_to(dwte + ids[n] * width, dx + n * width, first, last);
    }
  });
}

template <class X>
void add_positions(const CpuContext& context, const EmbeddingBackwardArgs& args) {
  const std::int64_t batch = args.tokens.dim(0);
  const std::int64_t length = args.tokens.dim(1);
  const std::int64_t width = args.dx.dim(-1);
  const X* dx = args.dx.data<X>();
  float* dwpe = args.dwpe.data<float>();
  parallel_chunks(context, length, row_grain(width * batch),
                  [=](std::int64_t, std::int64_t first, std::int64_t last) {
                    for (std::int64_t t = first; t < last; ++t) {
                      for (std::int64_t b = 0; b < batch; ++b) {
                        add_to(dwpe + t * width, dx + (b * length + t) * width, 0, width);
                      }
                    }
                  });
}

template <class X>
Kernel backward_kernel(const EmbeddingBackwardArgs& args) {
  return [args](ExecutionContext& context) {
    check_ids(args.tokens, args.dwte.dim(0));
    add_tokens<X>(cpu(context), args);
    add_positions<X>(cpu(context), args);
  };
}

}  // namespace

Kernel embedding(const EmbeddingArgs& args) {
  const bool x_f32 = args.x.dtype == DType::f32;
  if (args.wte.dtype == DType::f32) {
    return x_f32 ? forward_kernel<float, float>(args) : forward_kernel<float, bfloat16>(args);
  }
  return x_f32 ? forward_kernel<bfloat16, float>(args) : forward_kernel<bfloat16, bfloat16>(args);
}

Kernel embedding_backward(const EmbeddingBackwardArgs& args) {
  return args.dx.dtype == DType::f32 ? backward_kernel<float>(args)
                                     : backward_kernel<bfloat16>(args);
}

}  // namespace cajal::ops::cpu_backend
