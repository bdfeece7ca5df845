#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "ops/philox.h"
#include "ops/sampling/backends.h"
#include "ops/vector_math.h"
#include "runtime/cpu/context.h"

namespace cajal::ops::cpu_backend {
namespace {

/// A token that may be drawn, with e^((logit - largest) / temperature).
struct Candidate {
  float weight;
  std::int32_t id;
};

/// Most likely first; the lower id among equals, so that no order depends on the sort.
bool before(const Candidate& a, const Candidate& b) {
  return a.weight != b.weight ? a.weight > b.weight : a.id < b.id;
}

double total_weight(std::span<const Candidate> candidates) {
  double total = 0.0;
  for (const Candidate& c : candidates) total += double{c.weight};
  return total;
}

/// Throws the fault of a row that nothing can be drawn from.
template <class T>
[[noreturn]] void throw_undrawable(const T* logits, std::int64_t vocab, std::int64_t row) {
  for (std::int64_t v = 0; v < vocab; ++v) {
    if (std::isnan(static_cast<float>(logits[v]))) throw undrawable(row, v);
  }
  throw undrawable(row, -1);
}

/// The largest of a row's logits.
template <class T>
float largest_logit(const T* logits, std::int64_t vocab, std::int64_t row) {
  float largest = -std::numeric_limits<float>::infinity();
  int nan = 0;
#pragma omp simd reduction(max : largest) reduction(| : nan)
  for (std::int64_t v = 0; v < vocab; ++v) {
    const auto x = static_cast<float>(logits[v]);
    largest = std::max(largest, x);
    nan |= x != x ? 1 : 0;
  }
  // A reduction may begin at the lowest finite number, so a row of nothing but -infinity may end
  // there.
  const bool finite = std::isfinite(largest) && largest > std::numeric_limits<float>::lowest();
  if (nan != 0 || !finite) throw_undrawable(logits, vocab, row);
  return largest;
}

template <class T>
std::int32_t first_equal(const T* logits, std::int64_t vocab, float value) {
  std::int64_t v = 0;
  while (v < vocab - 1 && static_cast<float>(logits[v]) != value) ++v;
  return static_cast<std::int32_t>(v);
}

/// Cuts to the k most likely, in their order.
std::span<Candidate> keep_top_k(std::span<Candidate> candidates, int top_k) {
  const auto k = static_cast<std::size_t>(top_k);
  if (k == 0 || k >= candidates.size()) return candidates;
  const auto kept = candidates.first(k);
  std::nth_element(candidates.begin(), kept.end(), candidates.end(), before);
  std::sort(kept.begin(), kept.end(), before);
  return kept;
}

/// Cuts to the smallest set that holds top_p of the weight. Sorts no more of the candidates than a
/// few times those it keeps.
std::span<Candidate> keep_top_p(std::span<Candidate> candidates, float top_p) {
  if (top_p >= 1.0F) return candidates;
  const double wanted = double{top_p} * total_weight(candidates);
  double sum = 0.0;
  std::size_t sorted = 0;
  for (std::size_t head = 256; sorted < candidates.size(); head *= 4) {
    const auto first = candidates.begin() + static_cast<std::ptrdiff_t>(sorted);
    const std::size_t end = std::min(head, candidates.size());
    const auto last = candidates.begin() + static_cast<std::ptrdiff_t>(end);
    std::nth_element(first, last, candidates.end(), before);
    std::sort(first, last, before);
    for (; sorted < end; ++sorted) {
      sum += double{candidates[sorted].weight};
      if (sum >= wanted) return candidates.first(sorted + 1);
    }
  }
  return candidates;
}

/// The candidate in whose share of the total weight the number `uniform`, in [0,1), falls.
std::int32_t draw(std::span<const Candidate> candidates, double uniform) {
  const double wanted = uniform * total_weight(candidates);
  double sum = 0.0;
  std::int32_t last = candidates.front().id;
  for (const Candidate& c : candidates) {
    if (c.weight == 0.0F) continue;
    last = c.id;
    sum += double{c.weight};
    if (sum > wanted) break;
  }
  return last;  // Past the end only by rounding: the last that can be drawn.
}

/// 53 random bits as a number in [0,1).
double uniform_of(const PhiloxCounter& words) {
  const std::uint64_t bits = (std::uint64_t{words[0]} << 32 | words[1]) >> 11;
  return static_cast<double>(bits) * 0x1p-53;
}

template <class T>
std::int32_t sample_row(const T* logits, std::int64_t vocab, std::int64_t row,
                        const SamplingOptions& options, double uniform,
                        std::span<Candidate> candidates) {
  const float largest = largest_logit(logits, vocab, row);
  if (options.temperature == 0.0F) return first_equal(logits, vocab, largest);
  const float temperature = options.temperature;
  Candidate* to = candidates.data();
#pragma omp simd
  for (std::int64_t v = 0; v < vocab; ++v) {
    to[v].weight = vector_exp((static_cast<float>(logits[v]) - largest) / temperature);
    to[v].id = static_cast<std::int32_t>(v);
  }
  return draw(keep_top_p(keep_top_k(candidates, options.top_k), options.top_p), uniform);
}

template <class T>
Kernel sample_kernel(const SamplingArgs& args) {
  return [args](ExecutionContext& context) {
    const std::int64_t columns = args.logits.dim(1);
    const T* logits = args.logits.data<T>();
    std::int32_t* token = args.token.data<std::int32_t>();
    const PhiloxKey key = philox_key(args.seed.data<std::int32_t>());
    const std::int32_t position = *args.position.data<std::int32_t>();
    const auto count = static_cast<std::size_t>(args.vocab);
    const auto scratch = cpu(context).scratch(count * sizeof(Candidate));
    const std::span candidates(reinterpret_cast<Candidate*>(scratch.data()), count);
    for (std::int64_t row = 0; row < args.logits.dim(0); ++row) {
      const PhiloxCounter counter{static_cast<std::uint32_t>(position),
                                  static_cast<std::uint32_t>(row), 0, 0};
      token[row] = sample_row(logits + row * columns, args.vocab, row, args.options,
                              uniform_of(philox4x32(counter, key)), candidates);
    }
    if (args.next_position) *args.next_position.data<std::int32_t>() = position + 1;
  };
}

}  // namespace

Kernel sample(const SamplingArgs& args) {
  return args.logits.dtype == DType::f32 ? sample_kernel<float>(args)
                                         : sample_kernel<bfloat16>(args);
}

}  // namespace cajal::ops::cpu_backend
