#include <limits>
#include <type_traits>

#include "ops/cross_entropy/backends.h"
#include "ops/cuda_kernel.cuh"

namespace cajal::ops::cuda_backend {
namespace {

template <class T>
struct Rows {
  const T* logits;
  T* dlogits;  ///< Null: loss only. May be logits.
  const std::int32_t* targets;
  const float* scale;
  float* losses;  ///< Of each row, not yet scaled.
  KernelFault fault;
  std::int64_t columns;
  int vocab;
  bool packed;  ///< Rows are whole packs, aligned.
};

/// e^(x - largest): in full for f32, to what bf16 can show for bf16.
template <class T>
class ExponentialBelow {
 public:
  __device__ explicit ExponentialBelow(float largest)
      : offset_(kInFull ? largest : largest * kLog2E) {}
  __device__ float operator()(float x) const {
    if constexpr (kInFull) {
      return expf(x - offset_);
    } else {
      float y;
      asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(fmaf(x, kLog2E, -offset_)));
      return y;
    }
  }

 private:
  static constexpr bool kInFull = std::is_same_v<T, float>;
  static constexpr float kLog2E = 1.44269504F;
  float offset_;
};

// A finite start, also when multiplied by log2(e): from it minus infinity is an ordinary logit, of
// probability 0.
constexpr float kLowest = -2e38F;

/// The largest element so far and the sum of e^(x - largest), rescaled when a larger one comes
/// (Milakov and Gimelshein 2018): the exponentials hide behind the loads.
template <class T>
struct OnlineSoftmax {
  float largest = kLowest;
  float sum = 0.0F;

  __device__ void add(const Pack<T>& pack) {
    float x[kLanes<T>];
    pack.unpack(x);
    float most = x[0];
#pragma unroll
    for (int i = 1; i < kLanes<T>; ++i) most = fmaxf(most, x[i]);
    if (most > largest) {
      sum *= ExponentialBelow<T>(most)(largest);
      largest = most;
    }
    const ExponentialBelow<T> exponential(largest);
#pragma unroll
    for (const float logit : x) sum += exponential(logit);
  }

  /// Of the whole block.
  __device__ void combine() {
    const float most = block_max(largest, kLowest);
    sum = block_sum(sum * ExponentialBelow<T>(most)(largest));
    largest = most;
  }
};

/// Columns from the vocabulary's end on are minus infinity.
template <class T>
__device__ Pack<T> load_logits(const Rows<T>& a, const T* row, int column) {
  if (a.packed && column + kLanes<T> <= a.vocab) {
    return load_pack<T, kLanes<T>, Cached::stream>(row + column);
  }
  float x[kLanes<T>];
#pragma unroll
  for (int i = 0; i < kLanes<T>; ++i) {
    x[i] =
        column + i < a.vocab ? to_float(row[column + i]) : -std::numeric_limits<float>::infinity();
  }
  return Pack<T>::of(x);
}

/// Reads a row once; with kStaged leaves it in `staged`, each thread what it will itself read.
template <class T, bool kStaged>
__device__ OnlineSoftmax<T> softmax_of(const Rows<T>& a, const T* row, T* staged) {
  constexpr int kUnroll = 4;  // Loads that a thread has in flight.
  const int step = static_cast<int>(blockDim.x) * kLanes<T>;
  OnlineSoftmax<T> softmax;
  for (int first = static_cast<int>(threadIdx.x) * kLanes<T>; first < a.vocab;
       first += kUnroll * step) {
    Pack<T> packs[kUnroll];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      if (first + u * step < a.vocab) packs[u] = load_logits(a, row, first + u * step);
    }
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      if (first + u * step >= a.vocab) continue;
      if constexpr (kStaged) store_pack(staged + first + u * step, packs[u]);
      softmax.add(packs[u]);
    }
  }
  softmax.combine();
  return softmax;
}

/// A row's target, and its logit and logarithm of the probability.
struct Target {
  int column;
  float log_probability;
};

template <class T, bool kStaged>
__device__ void write_gradient(const Rows<T>& a, const T* row, T* gradient, const T* staged,
                               const OnlineSoftmax<T>& softmax, const Target& target) {
  constexpr int kCount = kLanes<T>;
  const ExponentialBelow<T> exponential(softmax.largest);
  const float scale = *a.scale;
  const float factor = scale / softmax.sum;
  for (std::int64_t first = threadIdx.x * kCount; first < a.columns; first += blockDim.x * kCount) {
    const auto column = static_cast<int>(first);
    float g[kCount] = {};
    if (column < a.vocab) {
      const auto logits = kStaged ? load_pack(staged + column) : load_logits(a, row, column);
#pragma unroll
      for (int i = 0; i < kCount; ++i) g[i] = factor * exponential(logits.get(i));
      const int at = target.column - column;
      if (at >= 0 && at < kCount) {
        // p - 1 without cancellation where p is nearly 1.
        const float at_target = scale * expm1f(target.log_probability);
#pragma unroll
        for (int i = 0; i < kCount; ++i) g[i] = i == at ? at_target : g[i];
      }
      if (column + kCount > a.vocab) {
#pragma unroll
        for (int i = 0; i < kCount; ++i) g[i] = column + i < a.vocab ? g[i] : 0.0F;
      }
    }
    store_some(gradient + column, a.columns - column, a.packed, g);
  }
}

template <class T>
__device__ void write_zeros(const Rows<T>& a, T* gradient) {
  constexpr float kZeros[kLanes<T>] = {};
  for (std::int64_t column = threadIdx.x * kLanes<T>; column < a.columns;
       column += blockDim.x * kLanes<T>) {
    store_some(gradient + column, a.columns - column, a.packed, kZeros);
  }
}

// Two blocks of bf16 rows share a multiprocessor: while one reads, the other writes.
template <class T>
inline constexpr int kMostThreads = std::is_same_v<T, float> ? 1024 : 512;

/// A row whose target does not count: no loss, no gradient.
template <class T>
__device__ void skip_row(const Rows<T>& a, std::int64_t row, std::int32_t target) {
  if (a.dlogits != nullptr) write_zeros(a, a.dlogits + row * a.columns);
  if (threadIdx.x != 0) return;
  a.losses[row] = 0.0F;
  if (target != kIgnoreTarget) raise_fault(a.fault, row, target);
}

/// A block a row: one walk over memory to read it, one to write its gradient. Where the row is
/// staged, its target is looked at only afterwards, so that the row's loads need not wait for it.
template <class T, bool kStaged>
__global__ void __launch_bounds__(kMostThreads<T>, 1024 / kMostThreads<T>)
    rows_kernel(const Rows<T> a) {
  extern __shared__ uint4 shared[];
  T* staged = reinterpret_cast<T*>(shared);
  const std::int64_t row = blockIdx.x;
  const T* logits = a.logits + row * a.columns;
  const std::int32_t target = a.targets[row];
  const bool counts = target >= 0 && target < a.vocab;
  if (!kStaged && !counts) return skip_row(a, row, target);
  // Read before the gradient takes its place.
  float at_target = kStaged ? 0.0F : to_float(logits[target]);
  const OnlineSoftmax<T> softmax = softmax_of<T, kStaged>(a, logits, staged);
  if (kStaged && !counts) return skip_row(a, row, target);
  if (kStaged) at_target = to_float(staged[target]);
  const float log_probability = (at_target - softmax.largest) - logf(softmax.sum);
  if (threadIdx.x == 0) a.losses[row] = -log_probability;
  if (a.dlogits == nullptr) return;
  write_gradient<T, kStaged>(a, logits, a.dlogits + row * a.columns, staged, softmax,
                             {target, log_probability});
}

constexpr int kSumThreads = 1024;

__global__ void __launch_bounds__(kSumThreads)
    loss_kernel(const float* losses, std::int64_t rows, const float* scale, float* loss) {
  double sum = 0.0;
#pragma unroll 8
  for (std::int64_t row = threadIdx.x; row < rows; row += kSumThreads) sum += losses[row];
  sum = block_sum(sum);
  if (threadIdx.x == 0) *loss += static_cast<float>(*scale * sum);
}

template <class T>
void run(CudaContext& context, const CrossEntropyArgs& args) {
  const std::int64_t rows = args.logits.dim(0);
  const std::int64_t columns = args.logits.dim(1);
  const std::int64_t vocab = args.vocab;
  const auto scratch = context.scratch(static_cast<std::size_t>(rows) * sizeof(float));
  Rows<T> a{.logits = args.logits.data<T>(),
            .dlogits = args.dlogits ? args.dlogits.data<T>() : nullptr,
            .targets = args.targets.data<std::int32_t>(),
            .scale = args.scale.data<float>(),
            .losses = reinterpret_cast<float*>(scratch.data()),
            .fault = context.fault_slot([vocab](std::int64_t index, std::int32_t target) {
              return std::string(target_outside(index, target, vocab).what());
            }),
            .columns = columns,
            .vocab = static_cast<int>(vocab),
            .packed = columns % kLanes<T> == 0};
  a.packed = a.packed && aligned_to_packs(a.logits, a.dlogits);

  constexpr std::int64_t kPacksPerThread = 2;  // At the least.
  constexpr std::size_t kReductions = 1024;    // Bytes of shared memory beside the row.
  const std::int64_t packs = ceil_div(vocab, kLanes<T>);
  const std::int64_t warps = std::clamp<std::int64_t>(ceil_div(packs, kPacksPerThread * kWarp), 2,
                                                      kMostThreads<T> / kWarp);
  const auto row_bytes = static_cast<std::size_t>(packs) * 16;
  const bool staged = a.packed && a.dlogits != nullptr &&
                      row_bytes + kReductions <= context.device().shared_bytes_per_block;
  launch(context, "cross_entropy", staged ? rows_kernel<T, true> : rows_kernel<T, false>,
         {extent(rows), extent(warps * kWarp), staged ? row_bytes : 0}, a);
  launch(context, "cross_entropy", loss_kernel, {1, kSumThreads}, a.losses, rows, a.scale,
         args.loss.data<float>());
}

}  // namespace

Kernel cross_entropy(const CrossEntropyArgs& args) {
  return [args](ExecutionContext& context) {
    args.logits.dtype == DType::f32 ? run<float>(cuda(context), args)
                                    : run<__nv_bfloat16>(cuda(context), args);
  };
}

}  // namespace cajal::ops::cuda_backend
