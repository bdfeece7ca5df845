#include <cmath>
#include <limits>

#include "ops/cpu_parallel.h"
#include "ops/cross_entropy/backends.h"
#include "ops/vector_math.h"

namespace cajal::ops::cpu_backend {
namespace {

void check_targets(const std::int32_t* targets, std::int64_t count, std::int64_t vocab) {
  for (std::int64_t n = 0; n < count; ++n) {
    const std::int32_t target = targets[n];
    if (target == kIgnoreTarget || (target >= 0 && target < vocab)) continue;
    throw target_outside(n, target, vocab);
  }
}

// A finite start: from it minus infinity is an ordinary logit, of probability 0.
constexpr float kLowest = std::numeric_limits<float>::lowest();

/// The largest element, and the sum of e^(x - largest).
struct Softmax {
  float largest = kLowest;
  float sum = 0.0F;

  /// Natural logarithm of the sum of exponentials.
  double log_sum() const { return double{largest} + std::log(double{sum}); }
};

template <class T>
float largest_of(const T* x, std::int64_t n) {
  float largest = kLowest;
#pragma omp simd reduction(max : largest)
  for (std::int64_t i = 0; i < n; ++i) largest = std::max(largest, static_cast<float>(x[i]));
  return largest;
}

template <class T>
float sum_of_exponentials(const T* x, std::int64_t n, float largest) {
  float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < n; ++i) sum += vector_exp(static_cast<float>(x[i]) - largest);
  return sum;
}

/// One walk over a row, in pieces that stay in the first-level cache between their two passes; the
/// sum so far is rescaled when a piece brings a larger element (Milakov and Gimelshein 2018).
template <class T>
Softmax softmax_of(const T* x, std::int64_t n) {
  constexpr std::int64_t kPiece = 4096;
  Softmax all;
  for (std::int64_t i = 0; i < n; i += kPiece) {
    const std::int64_t count = std::min(kPiece, n - i);
    const float largest = std::max(all.largest, largest_of(x + i, count));
    const float kept = all.sum * std::exp(all.largest - largest);
    all = {largest, kept + sum_of_exponentials(x + i, count, largest)};
  }
  return all;
}

template <class T>
struct Row {
  const T* logits;
  T* dlogits;  ///< Null: loss only. May be logits.
  std::int32_t target;
};

/// The exponentials are computed anew: keeping them would cost a second write of the row, and in
/// bf16 a second rounding.
template <class T>
void write_gradient(const Row<T>& row, const Softmax& softmax, float scale, std::int64_t vocab) {
  const T* x = row.logits;
  T* dx = row.dlogits;
  const double log_probability = static_cast<float>(x[row.target]) - softmax.log_sum();
  const float largest = softmax.largest;
  const float factor = scale / softmax.sum;
#pragma omp simd
  for (std::int64_t v = 0; v < vocab; ++v) {
    store(dx[v], factor * vector_exp(static_cast<float>(x[v]) - largest));
  }
  // p - 1 without cancellation where p is nearly 1.
  store(dx[row.target], static_cast<float>(scale * std::expm1(log_probability)));
}

/// Returns the row's loss, not yet scaled.
template <class T>
double process_row(const Row<T>& row, float scale, std::int64_t vocab, std::int64_t columns) {
  const bool masked = row.target == kIgnoreTarget;
  if (row.dlogits != nullptr) {
    std::fill(row.dlogits + (masked ? 0 : vocab), row.dlogits + columns, T{});
  }
  if (masked) return 0.0;
  const Softmax softmax = softmax_of(row.logits, vocab);
  const double loss = softmax.log_sum() - static_cast<float>(row.logits[row.target]);
  if (row.dlogits != nullptr) write_gradient(row, softmax, scale, vocab);
  return loss;
}

template <class T>
Kernel cross_entropy_kernel(const CrossEntropyArgs& args) {
  return [args](ExecutionContext& context) {
    const std::int64_t rows = args.logits.dim(0);
    const std::int64_t columns = args.logits.dim(1);
    const std::int64_t vocab = args.vocab;
    const std::int32_t* targets = args.targets.data<std::int32_t>();
    check_targets(targets, rows, vocab);
    const T* logits = args.logits.data<T>();
    T* dlogits = args.dlogits ? args.dlogits.data<T>() : nullptr;
    const float scale = *args.scale.data<float>();
    auto* losses = reinterpret_cast<double*>(
        cpu(context).scratch(static_cast<std::size_t>(rows) * sizeof(double)).data());
    parallel_chunks(cpu(context), rows, row_grain(columns),
                    [=](std::int64_t, std::int64_t first, std::int64_t last) {
                      for (std::int64_t n = first; n < last; ++n) {
                        const Row<T> row{logits + n * columns,
                                         dlogits != nullptr ? dlogits + n * columns : nullptr,
                                         targets[n]};
                        losses[n] = process_row(row, scale, vocab, columns);
                      }
                    });
    double sum = 0.0;
    for (std::int64_t n = 0; n < rows; ++n) sum += losses[n];
    *args.loss.data<float>() += static_cast<float>(scale * sum);
  };
}

}  // namespace

Kernel cross_entropy(const CrossEntropyArgs& args) {
  return args.logits.dtype == DType::f32 ? cross_entropy_kernel<float>(args)
                                         : cross_entropy_kernel<bfloat16>(args);
}

}  // namespace cajal::ops::cpu_backend
