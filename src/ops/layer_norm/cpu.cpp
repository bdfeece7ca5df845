#include <cmath>
#include <vector>

#include "ops/check.h"
#include "ops/cpu_parallel.h"
#include "ops/layer_norm/backends.h"
#include "ops/vector_math.h"

namespace cajal::ops::cpu_backend {
namespace {

// A row stays in the first-level cache over the passes of the functions below, so memory is read
// and written once.

template <class T>
float add_residual(const T* x, const T* residual, T* sum, std::int64_t width) {
  float total = 0.0F;
#pragma omp simd reduction(+ : total)
  for (std::int64_t c = 0; c < width; ++c) {
    store(sum[c], static_cast<float>(x[c]) + static_cast<float>(residual[c]));
    total += static_cast<float>(sum[c]);
  }
  return total;
}

template <class T>
float total_of(const T* s, std::int64_t width) {
  float total = 0.0F;
#pragma omp simd reduction(+ : total)
  for (std::int64_t c = 0; c < width; ++c) total += static_cast<float>(s[c]);
  return total;
}

template <class T>
float squared_deviations(const T* s, float mean, std::int64_t width) {
  float total = 0.0F;
#pragma omp simd reduction(+ : total)
  for (std::int64_t c = 0; c < width; ++c) {
    const float d = static_cast<float>(s[c]) - mean;
    total += d * d;
  }
  return total;
}

template <class T>
void normalise(const T* s, float mean, float rstd, const float* weight, const float* bias, T* y,
               std::int64_t width) {
#pragma omp simd
  for (std::int64_t c = 0; c < width; ++c) {
    store(y[c], (static_cast<float>(s[c]) - mean) * rstd * weight[c] + bias[c]);
  }
}

template <class T>
Kernel forward_kernel(const LayerNormArgs& args) {
  return [args](ExecutionContext& context) {
    const std::int64_t width = args.x.dim(-1);
    const auto columns = static_cast<float>(width);
    const T* x = args.x.data<T>();
    const T* residual = args.residual ? args.residual.data<T>() : nullptr;
    T* sum = args.residual ? args.sum.data<T>() : nullptr;
    const float* weight = args.weight.data<float>();
    const float* bias = args.bias.data<float>();
    T* y = args.y.data<T>();
    float* means = args.mean.data<float>();
    float* rstds = args.rstd.data<float>();
    parallel_chunks(
        cpu(context), row_count(args.x), row_grain(width),
        [=, epsilon = args.epsilon](std::int64_t, std::int64_t first, std::int64_t last) {
          for (std::int64_t n = first; n < last; ++n) {
            const std::int64_t at = n * width;
            const float total = residual != nullptr
                                    ? add_residual(x + at, residual + at, sum + at, width)
                                    : total_of(x + at, width);
            const T* s = residual != nullptr ? sum + at : x + at;
            const float mean = total / columns;
            const float variance = squared_deviations(s, mean, width) / columns;
            const float rstd = 1.0F / std::sqrt(variance + epsilon);
            normalise(s, mean, rstd, weight, bias, y + at, width);
            means[n] = mean;
            rstds[n] = rstd;
          }
        });
  };
}

/// Means over a row of g = dy * weight and of g * xhat.
struct RowMeans {
  float g = 0.0F;
  float g_xhat = 0.0F;
};

/// First pass over a row: its means, and what it adds to dweight and dbias.
template <class T>
RowMeans reduce_row(const T* dy, const T* s, float mean, float rstd, const float* weight,
                    float* dweight, float* dbias, std::int64_t width) {
  float sum_g = 0.0F;
  float sum_g_xhat = 0.0F;
#pragma omp simd reduction(+ : sum_g, sum_g_xhat)
  for (std::int64_t c = 0; c < width; ++c) {
    const float upstream = static_cast<float>(dy[c]);
    const float xhat = (static_cast<float>(s[c]) - mean) * rstd;
    const float g = upstream * weight[c];
    sum_g += g;
    sum_g_xhat += g * xhat;
    dweight[c] += upstream * xhat;
    dbias[c] += upstream;
  }
  const auto columns = static_cast<float>(width);
  return {sum_g / columns, sum_g_xhat / columns};
}

/// Second pass: ds, and what it adds to dbranch. `dsum` and `dbranch` are read only where they are
/// said to be.
template <bool kHasPast, bool kHasBranch, class T>
void gradient_row(const T* dy, const T* s, [[maybe_unused]] const T* dsum, float mean, float rstd,
                  const float* weight, RowMeans means, T* ds, [[maybe_unused]] float* dbranch,
                  std::int64_t width) {
#pragma omp simd
  for (std::int64_t c = 0; c < width; ++c) {
    const float xhat = (static_cast<float>(s[c]) - mean) * rstd;
    const float g = static_cast<float>(dy[c]) * weight[c];
    float gradient = rstd * (g - means.g - xhat * means.g_xhat);
    if constexpr (kHasPast) gradient += static_cast<float>(dsum[c]);
    if constexpr (kHasBranch) dbranch[c] += gradient;
    store(ds[c], gradient);
  }
}

template <class T>
auto gradient_row_for(bool has_past, bool has_branch) {
  if (has_past) return has_branch ? gradient_row<true, true, T> : gradient_row<true, false, T>;
  return has_branch ? gradient_row<false, true, T> : gradient_row<false, false, T>;
}

/// What rows are summed into: dweight, dbias and, where it is asked for, dbranch_bias.
std::vector<float*> sums_of(const LayerNormBackwardArgs& args) {
  std::vector<float*> sums{args.dweight.data<float>(), args.dbias.data<float>()};
  if (args.dbranch_bias) sums.push_back(args.dbranch_bias.data<float>());
  return sums;
}

/// Adds up the sums of the row blocks, in their order. `partial` is [blocks][sums][width].
void combine(const CpuContext& context, const LayerNormBackwardArgs& args, const float* partial,
             std::int64_t blocks) {
  const std::int64_t width = args.dy.dim(-1);
  const std::vector<float*> sums = sums_of(args);
  const auto count = static_cast<std::int64_t>(sums.size());
  constexpr std::int64_t kChannels = 256;
  parallel_chunks(context, width, kChannels,
                  [&](std::int64_t, std::int64_t first, std::int64_t last) {
                    for (std::int64_t i = 0; i < count; ++i) {
                      float* sum = sums[static_cast<std::size_t>(i)];
                      if (!args.accumulate) std::fill(sum + first, sum + last, 0.0F);
                      for (std::int64_t block = 0; block < blocks; ++block) {
                        const float* from = partial + (block * count + i) * width;
#pragma omp simd
                        for (std::int64_t c = first; c < last; ++c) sum[c] += from[c];
                      }
                    }
                  });
}

/// Rows that share one partial sum of dweight and dbias: it depends on the number of rows alone, so
/// that the sums do not depend on the number of threads.
std::int64_t rows_per_block(std::int64_t rows) {
  constexpr std::int64_t kMostBlocks = 64;
  constexpr std::int64_t kFewestRows = 32;
  return std::max(kFewestRows, chunk_count(rows, kMostBlocks));
}

template <class T>
Kernel backward_kernel(const LayerNormBackwardArgs& args) {
  return [args](ExecutionContext& context) {
    const std::int64_t width = args.dy.dim(-1);
    const std::int64_t rows = row_count(args.dy);
    const std::int64_t grain = rows_per_block(rows);
    const std::int64_t blocks = chunk_count(rows, grain);
    const T* dy = args.dy.data<T>();
    const T* s = args.sum.data<T>();
    const T* dsum = args.dsum ? args.dsum.data<T>() : nullptr;
    const float* weight = args.weight.data<float>();
    const float* means = args.mean.data<float>();
    const float* rstds = args.rstd.data<float>();
    T* ds = args.ds.data<T>();
    const std::int64_t sums = args.dbranch_bias ? 3 : 2;
    const auto write_gradient = gradient_row_for<T>(dsum != nullptr, sums == 3);
    const auto bytes = static_cast<std::size_t>(sums * blocks * width) * sizeof(float);
    auto* partial = reinterpret_cast<float*>(cpu(context).scratch(bytes).data());
    parallel_chunks(
        cpu(context), rows, grain, [=](std::int64_t block, std::int64_t first, std::int64_t last) {
          float* dweight = partial + sums * block * width;
          float* dbias = dweight + width;
          float* dbranch = sums == 3 ? dbias + width : nullptr;
          std::fill(dweight, dweight + sums * width, 0.0F);
          for (std::int64_t n = first; n < last; ++n) {
            const std::int64_t at = n * width;
            const RowMeans row =
                reduce_row(dy + at, s + at, means[n], rstds[n], weight, dweight, dbias, width);
            write_gradient(dy + at, s + at, dsum != nullptr ? dsum + at : nullptr, means[n],
                           rstds[n], weight, row, ds + at, dbranch, width);
          }
        });
    combine(cpu(context), args, partial, blocks);
  };
}

}  // namespace

Kernel layer_norm(const LayerNormArgs& args) {
  return args.x.dtype == DType::f32 ? forward_kernel<float>(args) : forward_kernel<bfloat16>(args);
}

Kernel layer_norm_backward(const LayerNormBackwardArgs& args) {
  return args.dy.dtype == DType::f32 ? backward_kernel<float>(args)
                                     : backward_kernel<bfloat16>(args);
}

}  // namespace cajal::ops::cpu_backend
