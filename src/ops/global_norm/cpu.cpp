#include <cmath>

#include "ops/cpu_parallel.h"
#include "ops/global_norm/backends.h"

namespace cajal::ops::cpu_backend {
namespace {

double sum_of_squares(const float* x, std::int64_t n) {
  double sum = 0.0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return sum;
}

}  // namespace

Kernel global_norm(const GlobalNormArgs& args) {
  return [args](ExecutionContext& context) {
    const float* x = args.x.data<float>();
    const std::int64_t n = args.x.size();
    const std::int64_t chunks = chunk_count(n, kGrain);
    // One partial sum a chunk, whatever the number of threads.
    auto* partial = reinterpret_cast<double*>(
        cpu(context).scratch(static_cast<std::size_t>(chunks) * sizeof(double)).data());
    parallel_chunks(cpu(context), n, kGrain,
                    [=](std::int64_t chunk, std::int64_t first, std::int64_t last) {
                      partial[chunk] = sum_of_squares(x + first, last - first);
                    });
    double sum = 0.0;
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) sum += partial[chunk];
    *args.norm.data<float>() = static_cast<float>(std::sqrt(sum));
  };
}

}  // namespace cajal::ops::cpu_backend
