#include <limits>

#include "ops/cuda_kernel.cuh"
#include "ops/philox.h"
#include "ops/sampling/backends.h"
#include "ops/sampling/select.cuh"

namespace cajal::ops::cuda_backend {
namespace {

constexpr int kThreads = kSelectThreads;
constexpr std::int64_t kLargestVocab = 1 << 20;  // Whose significands' sums fit WeightBins.

template <class T>
struct Rows {
  const T* logits;
  const std::int32_t* seed;
  const std::int32_t* position;
  std::int32_t* token;
  std::int32_t* next_position;  ///< Null: not for this kernel to write.
  float* weights;               ///< [rows][vocab]
  KernelFault fault;
  std::int64_t columns;
  int vocab;
  SamplingOptions options;
};

/// The largest logit, or nothing to draw from.
struct Largest {
  float value;
  int nan_at;  ///< The first, INT_MAX where there is none.

  __device__ bool drawable() const {
    return nan_at == INT_MAX && isfinite(value) && value > std::numeric_limits<float>::lowest();
  }
};

template <class T>
__device__ Largest largest_logit(const T* logits, int vocab) {
  float largest = -std::numeric_limits<float>::infinity();
  int nan_at = INT_MAX;
#pragma unroll 4
  for (int v = static_cast<int>(threadIdx.x); v < vocab; v += kThreads) {
    const float x = to_float(logits[v]);
    largest = fmaxf(largest, x);
    if (isnan(x)) nan_at = min(nan_at, v);
  }
  return {block_max(largest, -std::numeric_limits<float>::infinity()), block_min(nan_at)};
}

template <class T>
__device__ int first_equal(const T* logits, int vocab, float value) {
  int first = INT_MAX;
  for (int v = static_cast<int>(threadIdx.x); v < vocab; v += kThreads) {
    if (to_float(logits[v]) == value) first = min(first, v);
  }
  return block_min(first);
}

/// As the CPU's exponential: no subnormal results.
__device__ float weight_of(float x) {
  constexpr float kLowest = -86.9F;
  return x < kLowest ? 0.0F : expf(x);
}

/// 53 random bits of row `row` as a number in [0,1).
template <class T>
__device__ double uniform_of(const Rows<T>& a, std::uint32_t row) {
  const PhiloxKey key{static_cast<std::uint32_t>(a.seed[0]), static_cast<std::uint32_t>(a.seed[1])};
  const PhiloxCounter words = philox4x32({static_cast<std::uint32_t>(*a.position), row, 0, 0}, key);
  const std::uint64_t bits = (std::uint64_t{words[0]} << 32 | words[1]) >> 11;
  return static_cast<double>(bits) * 0x1p-53;
}

// Walks in the order of the ids: every warp has a run of neighbouring ids.

struct WarpRange {
  int first;
  int last;

  __device__ explicit WarpRange(int vocab) {
    const auto warp = static_cast<int>(threadIdx.x / kWarp);
    const int each = (vocab + kThreads - 1) / kThreads * kWarp;
    first = min(vocab, warp * each);
    last = min(vocab, first + each);
  }
};

/// The id of the nth weight, from 0, of those that are equal to `bits`.
__device__ int nth_equal(const float* weights, int vocab, std::uint32_t bits, int nth) {
  __shared__ int of_warp[kWarp];
  __shared__ int found;
  const auto lane = static_cast<int>(threadIdx.x % kWarp);
  const auto warp = static_cast<int>(threadIdx.x / kWarp);
  const WarpRange range(vocab);
  const auto matches = [&](int at) {
    const bool match = at + lane < range.last && __float_as_uint(weights[at + lane]) == bits;
    return __ballot_sync(kAllLanes, match);
  };
  int count = 0;
  for (int at = range.first; at < range.last; at += kWarp) count += __popc(matches(at));
  if (lane == 0) of_warp[warp] = count;
  __syncthreads();
  int before = 0;
  for (int w = 0; w < warp; ++w) before += of_warp[w];
  if (before <= nth && nth < before + count) {
    for (int at = range.first; at < range.last && before <= nth; at += kWarp) {
      const unsigned here = matches(at);
      const int own = before + __popc(here & ((1U << lane) - 1));
      if ((here >> lane & 1U) != 0 && own == nth) found = at + lane;
      before += __popc(here);
    }
  }
  __syncthreads();
  return found;
}

/// The id in whose share of the weights `uniform` falls, in the order of the ids.
class InOrderDraw {
 public:
  __device__ InOrderDraw(const float* weights, int vocab) : weights_(weights), range_(vocab) {}

  __device__ int draw(double uniform) {
    __shared__ double of_warp[kWarp];
    __shared__ int found;
    double sum = 0.0;
    for (int v = range_.first + lane_; v < range_.last; v += kWarp) sum += double{weights_[v]};
    sum = warp_sum(sum);
    if (lane_ == 0) of_warp[threadIdx.x / kWarp] = sum;
    __syncthreads();
    double total = 0.0;
    for (const double share : of_warp) total += share;
    const double wanted = uniform * total;
    // The first warp that goes beyond; by rounding none may, then the last that has any weight.
    int chosen = 0;
    double before = 0.0;
    double so_far = 0.0;
    for (int w = 0; w < kWarp && so_far <= wanted; ++w) {
      if (of_warp[w] == 0.0) continue;
      chosen = w;
      before = so_far;
      so_far += of_warp[w];
    }
    if (static_cast<int>(threadIdx.x / kWarp) == chosen) {
      const int id = walk(before, wanted);
      if (lane_ == 0) found = id;
    }
    __syncthreads();
    return found;
  }

 private:
  __device__ int walk(double so_far, double wanted) const {
    int last = range_.first;
    for (int at = range_.first; at < range_.last; at += kWarp) {
      const double weight = at + lane_ < range_.last ? double{weights_[at + lane_]} : 0.0;
      double up_to = weight;
#pragma unroll
      for (int distance = 1; distance < kWarp; distance *= 2) {
        const double other = __shfl_up_sync(kAllLanes, up_to, distance);
        if (lane_ >= distance) up_to += other;
      }
      const unsigned beyond = __ballot_sync(kAllLanes, weight > 0.0 && so_far + up_to > wanted);
      if (beyond != 0) return at + __ffs(static_cast<int>(beyond)) - 1;
      const unsigned drawable = __ballot_sync(kAllLanes, weight > 0.0);
      if (drawable != 0) last = at + kWarp - 1 - __clz(static_cast<int>(drawable));
      so_far += __shfl_sync(kAllLanes, up_to, kWarp - 1);
    }
    return last;
  }

  const float* weights_;
  WarpRange range_;
  int lane_ = static_cast<int>(threadIdx.x % kWarp);
};

/// The candidates: weights above `at`'s, and `kept` of those equal to it, of the lowest ids.
struct Cut {
  Crossing at;
  int kept;

  __device__ double weight() const { return __uint_as_float(at.bits); }
  __device__ double total() const { return at.weight_before + kept * weight(); }
  /// Of those equal to `other`'s, how many are candidates.
  __device__ int candidates_at(const Crossing& other) const {
    return other.bits == at.bits ? kept : other.ties;
  }
};

__device__ Cut keep_top_k(WeightSelector& selector, int vocab, int top_k) {
  const int count = top_k > 0 && top_k < vocab ? top_k : vocab;
  const Crossing at = selector.find({Goal::Kind::count, static_cast<double>(count)});
  return {at, count - at.count_before};
}

__device__ Cut keep_top_p(WeightSelector& selector, const Cut& cut, float top_p) {
  if (top_p >= 1.0F) return cut;
  const double wanted = double{top_p} * cut.total();
  const Crossing at = selector.find({Goal::Kind::weight, wanted});
  if (at.bits < cut.at.bits) return cut;
  const double weight = __uint_as_float(at.bits);
  const double kept = ceil((wanted - at.weight_before) / weight);
  return {at, static_cast<int>(fmin(fmax(kept, 1.0), double(cut.candidates_at(at))))};
}

/// The candidate, the most likely first, in whose share of the weights `uniform` falls.
__device__ int draw_in_descent(WeightSelector& selector, const Cut& cut, double uniform,
                               const float* weights, int vocab) {
  const double wanted = uniform * cut.total();
  const Crossing at = selector.find({Goal::Kind::more_than_weight, wanted});
  // Beyond the last candidate only by rounding.
  if (at.bits < cut.at.bits) return nth_equal(weights, vocab, cut.at.bits, cut.kept - 1);
  const double weight = __uint_as_float(at.bits);
  const double nth = floor((wanted - at.weight_before) / weight);
  const double most = cut.candidates_at(at) - 1;
  return nth_equal(weights, vocab, at.bits, static_cast<int>(fmin(fmax(nth, 0.0), most)));
}

/// A block a row.
template <class T>
__device__ int sample_row(const Rows<T>& a, const T* logits, float largest, float* weights) {
  __shared__ WeightBins all;
  __shared__ WeightBins part;
  if (a.options.temperature == 0.0F) return first_equal(logits, a.vocab, largest);
  const bool top_k = a.options.top_k > 0 && a.options.top_k < a.vocab;
  const bool in_order = !top_k && a.options.top_p >= 1.0F;
  all.clear();
  __syncthreads();
#pragma unroll 4
  for (int v = static_cast<int>(threadIdx.x); v < a.vocab; v += kThreads) {
    const float weight = weight_of((to_float(logits[v]) - largest) / a.options.temperature);
    const std::uint32_t bits = __float_as_uint(weight);
    weights[v] = weight;
    if (!in_order) all.add(WeightSelector::bin_of_all(bits), bits);
  }
  __syncthreads();
  const double uniform = uniform_of(a, blockIdx.x);
  if (in_order) return InOrderDraw(weights, a.vocab).draw(uniform);
  WeightSelector selector(weights, a.vocab, all, part);
  const Cut cut =
      keep_top_p(selector, keep_top_k(selector, a.vocab, a.options.top_k), a.options.top_p);
  return draw_in_descent(selector, cut, uniform, weights, a.vocab);
}

template <class T>
__global__ void __launch_bounds__(kThreads) sample_kernel(const Rows<T> a) {
  const std::int64_t row = blockIdx.x;
  const T* logits = a.logits + row * a.columns;
  const Largest largest = largest_logit(logits, a.vocab);
  if (!largest.drawable()) {
    const int nan_at = largest.nan_at == INT_MAX ? -1 : largest.nan_at;
    if (threadIdx.x == 0) raise_fault(a.fault, row, nan_at);
    return;
  }
  const std::int32_t position = *a.position;
  const int token = sample_row(a, logits, largest.value, a.weights + row * a.vocab);
  __syncthreads();  // Everybody has read the position.
  if (threadIdx.x != 0) return;
  a.token[row] = token;
  if (a.next_position != nullptr) *a.next_position = position + 1;
}

__global__ void advance_kernel(const std::int32_t* position, std::int32_t* next_position) {
  *next_position = *position + 1;
}

template <class T>
void run(CudaContext& context, const SamplingArgs& args) {
  const std::int64_t rows = args.logits.dim(0);
  auto* next = args.next_position ? args.next_position.data<std::int32_t>() : nullptr;
  const std::size_t bytes = static_cast<std::size_t>(rows * args.vocab) * sizeof(float);
  const Rows<T> a{.logits = args.logits.data<T>(),
                  .seed = args.seed.data<std::int32_t>(),
                  .position = args.position.data<std::int32_t>(),
                  .token = args.token.data<std::int32_t>(),
                  .next_position = rows == 1 ? next : nullptr,
                  .weights = reinterpret_cast<float*>(context.scratch(bytes).data()),
                  .fault = context.fault_slot([](std::int64_t row, std::int32_t nan_at) {
                    return std::string(undrawable(row, nan_at).what());
                  }),
                  .columns = args.logits.dim(1),
                  .vocab = static_cast<int>(args.vocab),
                  .options = args.options};
  launch(context, "sample", sample_kernel<T>, {extent(rows), kThreads}, a);
  if (rows == 1 || next == nullptr) return;
  // Blocks of the first launch may read the position at any time, and it may be `next`.
  launch(context, "sample", advance_kernel, {1, 1}, a.position, next);
}

}  // namespace

Kernel sample(const SamplingArgs& args) {
  if (args.vocab > kLargestVocab) {
    throw InvalidArgument("sample: vocab is larger than the device samples from",
                          "use the device cpu");
  }
  return [args](ExecutionContext& context) {
    args.logits.dtype == DType::f32 ? run<float>(cuda(context), args)
                                    : run<__nv_bfloat16>(cuda(context), args);
  };
}

}  // namespace cajal::ops::cuda_backend
