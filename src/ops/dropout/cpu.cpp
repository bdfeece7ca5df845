#include "ops/cpu_parallel.h"
#include "ops/dropout/backends.h"
#include "ops/philox.h"
#include "ops/vector_math.h"

namespace cajal::ops::cpu_backend {
namespace {

template <class T>
Kernel dropout_kernel(const DropoutArgs& args) {
  return [args](ExecutionContext& context) {
    const T* x = args.x.data<T>();
    T* y = args.y.data<T>();
    const PhiloxKey key = philox_key(args.seed.data<std::int32_t>());
    const std::uint32_t stream = args.stream;
    const std::uint32_t threshold = philox_threshold(args.probability);
    const float scale = 1.0F / (1.0F - args.probability);
    static_assert(kGrain % kPhiloxBlockWords == 0);
    parallel_chunks(cpu(context), args.x.size(), kGrain,
                    [=](std::int64_t, std::int64_t first, std::int64_t last) {
                      alignas(64) std::uint32_t words[kPhiloxBlockWords];
                      for (std::int64_t i = first; i < last; i += kPhiloxBlockWords) {
                        philox_block(key, static_cast<std::uint64_t>(i) / 4, stream, words);
                        const std::int64_t count =
                            std::min<std::int64_t>(kPhiloxBlockWords, last - i);
#pragma omp simd
                        for (std::int64_t j = 0; j < count; ++j) {
                          const float kept = static_cast<float>(x[i + j]) * scale;
                          store(y[i + j], words[j] >= threshold ? kept : 0.0F);
                        }
                      }
                    });
  };
}

}  // namespace

Kernel dropout(const DropoutArgs& args) {
  return args.x.dtype == DType::f32 ? dropout_kernel<float>(args) : dropout_kernel<bfloat16>(args);
}

}  // namespace cajal::ops::cpu_backend
