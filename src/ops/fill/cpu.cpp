#include <cstring>

#include "ops/cpu_parallel.h"
#include "ops/fill/backends.h"
#include "ops/vector_math.h"

namespace cajal::ops::cpu_backend {
namespace {

template <class From, class To>
Kernel convert_kernel(const ConvertArgs& args) {
  return [args](ExecutionContext& context) {
    const From* from = args.from.data<From>();
    To* to = args.to.data<To>();
    parallel_chunks(cpu(context), args.from.size(), kGrain,
                    [=](std::int64_t, std::int64_t first, std::int64_t last) {
#pragma omp simd
                      for (std::int64_t i = first; i < last; ++i) {
                        store(to[i], static_cast<float>(from[i]));
                      }
                    });
  };
}

}  // namespace

Kernel zero(const Tensor& x) {
  return [x](ExecutionContext& context) {
    std::byte* bytes = x.data<std::byte>();
    constexpr auto grain = kGrain * std::int64_t{sizeof(float)};
    parallel_chunks(cpu(context), static_cast<std::int64_t>(x.buffer.size()), grain,
                    [=](std::int64_t, std::int64_t first, std::int64_t last) {
                      std::memset(bytes + first, 0, static_cast<std::size_t>(last - first));
                    });
  };
}

Kernel convert(const ConvertArgs& args) {
  const bool from_f32 = args.from.dtype == DType::f32;
  const bool to_f32 = args.to.dtype == DType::f32;
  if (from_f32) {
    return to_f32 ? convert_kernel<float, float>(args) : convert_kernel<float, bfloat16>(args);
  }
  return to_f32 ? convert_kernel<bfloat16, float>(args) : convert_kernel<bfloat16, bfloat16>(args);
}

}  // namespace cajal::ops::cpu_backend
