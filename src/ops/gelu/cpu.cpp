#include "ops/cpu_parallel.h"
#include "ops/gelu/backends.h"
#include "ops/gelu/gelu_math.h"

namespace cajal::ops::cpu_backend {
namespace {

template <class T>
void run_gelu(const CpuContext& context, const GeluArgs& args) {
  const T* x = args.x.data<T>();
  T* y = args.y.data<T>();
  parallel_chunks(context, args.x.size(), kGrain,
                  [&](std::int64_t, std::int64_t first, std::int64_t last) {
                    gelu_span(x + first, y + first, last - first);
                  });
}

template <class T>
void run_gelu_backward(const CpuContext& context, const GeluBackwardArgs& args) {
  const T* x = args.x.data<T>();
  const T* dy = args.dy.data<T>();
  T* dx = args.dx.data<T>();
  parallel_chunks(context, args.x.size(), kGrain,
                  [&](std::int64_t, std::int64_t first, std::int64_t last) {
                    gelu_backward_span(x + first, dy + first, dx + first, last - first);
                  });
}

}  // namespace

Kernel gelu(const GeluArgs& args) {
  return [args](ExecutionContext& context) {
    args.x.dtype == DType::bf16 ? run_gelu<bfloat16>(cpu(context), args)
                                : run_gelu<float>(cpu(context), args);
  };
}

Kernel gelu_backward(const GeluBackwardArgs& args) {
  return [args](ExecutionContext& context) {
    args.x.dtype == DType::bf16 ? run_gelu_backward<bfloat16>(cpu(context), args)
                                : run_gelu_backward<float>(cpu(context), args);
  };
}

}  // namespace cajal::ops::cpu_backend
