#include "ops/cross_entropy/backends.h"
#include "ops/cross_entropy/softmax.cuh"
#include "ops/cross_entropy/staged_rows.cuh"
#include "ops/cuda_kernel.cuh"

namespace cajal::ops::cuda_backend {
namespace {

/// Reads a row once.
template <class T>
__device__ OnlineSoftmax<T> softmax_of(const Rows<T>& a, const T* row) {
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
      if (first + u * step < a.vocab) softmax.add(packs[u]);
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

template <class T>
__device__ void write_gradient(const Rows<T>& a, const T* row, T* gradient,
                               const OnlineSoftmax<T>& softmax, const Target& target) {
  constexpr int kCount = kLanes<T>;
  const ExponentialBelow<T> exponential(softmax.largest);
  const float scale = *a.scale;
  const float factor = scale / softmax.sum;
  for (std::int64_t first = threadIdx.x * kCount; first < a.columns; first += blockDim.x * kCount) {
    const auto column = static_cast<int>(first);
    float g[kCount] = {};
    if (column < a.vocab) {
      const auto logits = load_logits(a, row, column);
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

/// A row whose target does not count: no loss, no gradient.
template <class T>
__device__ void skip_row(const Rows<T>& a, std::int64_t row, std::int32_t target) {
  if (a.dlogits != nullptr) write_zeros(a, a.dlogits + row * a.columns);
  if (threadIdx.x != 0) return;
  a.losses[row] = 0.0F;
  if (target != kIgnoreTarget) raise_fault(a.fault, row, target);
}

/// A block a row, which it reads twice: any width and alignment, and where only the loss is wanted.
template <class T>
__global__ void __launch_bounds__(kMostThreads<T>, 1024 / kMostThreads<T>)
    rows_kernel(const Rows<T> a) {
  let_next_start();
  const std::int64_t row = blockIdx.x;
  const T* logits = a.logits + row * a.columns;
  const std::int32_t target = a.targets[row];
  if (target < 0 || target >= a.vocab) return skip_row(a, row, target);
  // Read before the gradient takes its place.
  const float at_target = to_float(logits[target]);
  const OnlineSoftmax<T> softmax = softmax_of(a, logits);
  const float log_probability = (at_target - softmax.largest) - logf(softmax.sum);
  if (threadIdx.x == 0) a.losses[row] = -log_probability;
  if (a.dlogits == nullptr) return;
  write_gradient(a, logits, a.dlogits + row * a.columns, softmax, {target, log_probability});
}

constexpr auto kName = "cross_entropy";
constexpr int kSumThreads = 1024;

__global__ void __launch_bounds__(kSumThreads)
    loss_kernel(const float* losses, std::int64_t rows, const float* scale, float* loss) {
  wait_for_previous();
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
            .rows = rows,
            .columns = columns,
            .vocab = static_cast<int>(vocab),
            .packed = columns % kLanes<T> == 0};
  a.packed = a.packed && aligned_to_packs(a.logits, a.dlogits);

  constexpr std::int64_t kPacksPerThread = 2;  // At the least.
  const std::int64_t packs = ceil_div(vocab, kLanes<T>);
  const std::int64_t warps = std::clamp<std::int64_t>(ceil_div(packs, kPacksPerThread * kWarp), 2,
                                                      kMostThreads<T> / kWarp);
  const auto threads = static_cast<int>(warps * kWarp);
  const std::int64_t staging = a.dlogits != nullptr && a.packed
                                   ? staging_blocks(context.device(), threads, staged_bytes(a))
                                   : 0;
  if (staging > 0) {
    launch(context, kName, staged_rows_kernel<T>,
           {extent(std::min(rows, staging)), extent(threads), staged_bytes(a)}, a);
  } else {
    launch(context, kName, rows_kernel<T>, {extent(rows), extent(threads)}, a);
  }
  if (rows == 0) return;
  launch_after(context, kName, loss_kernel, {1, kSumThreads}, a.losses, rows, a.scale,
               args.loss.data<float>());
}

// Counts in blocks of targets first, then those counts.
constexpr std::int64_t kTargetsPerBlock = 8192;

__device__ void write_scale(int counted, float* scale) {
  *scale = counted == 0 ? 0.0F : 1.0F / static_cast<float>(counted);
}

__global__ void __launch_bounds__(kSumThreads)
    count_kernel(const std::int32_t* targets, std::int64_t n, int* counts, float* scale) {
  const std::int64_t first = blockIdx.x * kTargetsPerBlock;
  int counted = 0;
#pragma unroll
  for (int i = 0; i < kTargetsPerBlock / kSumThreads; ++i) {
    const std::int64_t at = first + i * kSumThreads + threadIdx.x;
    if (at < n) counted += targets[at] != kIgnoreTarget ? 1 : 0;
  }
  counted = block_sum(counted);
  if (threadIdx.x != 0) return;
  counts[blockIdx.x] = counted;
  if (gridDim.x == 1) write_scale(counted, scale);
}

__global__ void __launch_bounds__(kSumThreads)
    scale_kernel(const int* counts, int blocks, float* scale) {
  int counted = 0;
  for (int block = static_cast<int>(threadIdx.x); block < blocks; block += kSumThreads) {
    counted += counts[block];
  }
  counted = block_sum(counted);
  if (threadIdx.x == 0) write_scale(counted, scale);
}

}  // namespace

Kernel target_scale(const TargetScaleArgs& args) {
  return [args](ExecutionContext& context) {
    CudaContext& c = cuda(context);
    const std::int64_t n = args.targets.size();
    const std::int64_t blocks = std::max<std::int64_t>(1, ceil_div(n, kTargetsPerBlock));
    auto* counts =
        reinterpret_cast<int*>(c.scratch(static_cast<std::size_t>(blocks) * sizeof(int)).data());
    float* scale = args.scale.data<float>();
    launch(c, "target_scale", count_kernel, {extent(blocks), kSumThreads},
           args.targets.data<std::int32_t>(), n, counts, scale);
    if (blocks == 1) return;
    launch(c, "target_scale", scale_kernel, {1, kSumThreads}, counts, static_cast<int>(blocks),
           scale);
  };
}

Kernel cross_entropy(const CrossEntropyArgs& args) {
  return [args](ExecutionContext& context) {
    args.logits.dtype == DType::f32 ? run<float>(cuda(context), args)
                                    : run<__nv_bfloat16>(cuda(context), args);
  };
}

}  // namespace cajal::ops::cuda_backend
