// Cross entropy with a row of logits in shared memory: while a row's gradient is written, the next
// row takes its place there.
#pragma once

#include "ops/cross_entropy/softmax.cuh"
#include "ops/cuda_kernel.cuh"

namespace cajal::ops::cuda_backend {
namespace {

/// Starts to copy 16 bytes; they are there for this thread once it has waited for their group.
__device__ void copy_async(void* shared, const void* from) {
  const auto to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
}

__device__ void end_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/// Until no more than `pending` of the last groups are on their way.
__device__ void wait_for_groups(int pending) {
  switch (pending) {
    case 0:
      asm volatile("cp.async.wait_group 0;" ::: "memory");
      break;
    case 1:
      asm volatile("cp.async.wait_group 1;" ::: "memory");
      break;
    case 2:
      asm volatile("cp.async.wait_group 2;" ::: "memory");
      break;
    default:
      asm volatile("cp.async.wait_group 3;" ::: "memory");
      break;
  }
}

/// One thread's packs of each row, always the same columns: nobody else touches them, so that a
/// pack's place is free for the next row as soon as this thread has used it.
template <class T>
class StagedRow {
 public:
  static constexpr int kGroup = 4;  // Packs in a group.

  __device__ StagedRow(const Rows<T>& a, T* staged)
      : a_(a),
        staged_(staged),
        step_(static_cast<int>(blockDim.x) * kLanes<T>),
        groups_(static_cast<int>(ceil_div(a.columns, kGroup * step_))) {}

  /// `body(column)` for every pack, also of the padding; after each group `end(groups that
  /// follow)`.
  template <class Body, class Before, class After>
  __device__ void for_each(const Before& before, const Body& body, const After& after) const {
    for (int group = 0; group < groups_; ++group) {
      before(groups_ - 1 - group);
#pragma unroll
      for (int u = 0; u < kGroup; ++u) {
        const int column = (group * kGroup + u) * step_ + static_cast<int>(threadIdx.x) * kLanes<T>;
        if (column < a_.columns) body(column);
      }
      after();
    }
  }

  __device__ void fetch(const T* row, int column) const {
    if (column < a_.vocab) copy_async(staged_ + column, row + column);
  }

  /// Beyond the vocabulary's end minus infinity.
  __device__ Pack<T> logits(int column) const {
    const Pack<T> pack = load_pack(staged_ + column);
    if (column + kLanes<T> <= a_.vocab) return pack;
    float x[kLanes<T>];
    pack.unpack(x);
#pragma unroll
    for (int i = 0; i < kLanes<T>; ++i) {
      x[i] = column + i < a_.vocab ? x[i] : -std::numeric_limits<float>::infinity();
    }
    return Pack<T>::of(x);
  }

 private:
  const Rows<T>& a_;
  T* staged_;
  int step_;
  int groups_;
};

/// What turns a row's logits into its gradient.
template <class T>
class RowGradient {
 public:
  static constexpr int kCount = kLanes<T>;

  __device__ RowGradient(const OnlineSoftmax<T>& softmax, float scale, int target, int vocab)
      : softmax_(softmax),
        exponential_(softmax.largest),
        scale_(scale),
        factor_(scale / softmax.sum),
        target_(target),
        vocab_(vocab) {}

  /// True for the thread that has the target's column, which learns the row's loss.
  __device__ bool operator()(const Pack<T>& logits, int column, float (&g)[kCount],
                             float& loss) const {
#pragma unroll
    for (int i = 0; i < kCount; ++i) g[i] = factor_ * exponential_(logits.get(i));
    if (column + kCount > vocab_) {
#pragma unroll
      for (int i = 0; i < kCount; ++i) g[i] = column + i < vocab_ ? g[i] : 0.0F;
    }
    const int at = target_ - column;
    if (at < 0 || at >= kCount) return false;
    float logit = 0.0F;
#pragma unroll
    for (int i = 0; i < kCount; ++i) logit = i == at ? logits.get(i) : logit;
    const float log_probability = (logit - softmax_.largest) - logf(softmax_.sum);
    // p - 1 without cancellation where p is nearly 1.
    const float at_target = scale_ * expm1f(log_probability);
#pragma unroll
    for (int i = 0; i < kCount; ++i) g[i] = i == at ? at_target : g[i];
    loss = -log_probability;
    return true;
  }

 private:
  OnlineSoftmax<T> softmax_;
  ExponentialBelow<T> exponential_;
  float scale_;
  float factor_;
  int target_;
  int vocab_;
};

/// Writes a row's gradient and starts to fetch the row at `next`, unless it is null.
template <class T>
__device__ void write_staged_gradient(const Rows<T>& a, const StagedRow<T>& staged,
                                      const OnlineSoftmax<T>& softmax, float scale,
                                      std::int64_t row, std::int32_t target, const T* next) {
  const bool counts = target >= 0 && target < a.vocab;
  const RowGradient<T> gradient(softmax, scale, target, a.vocab);
  T* to = a.dlogits + row * a.columns;
  if (!counts && threadIdx.x == 0) {
    a.losses[row] = 0.0F;
    if (target != kIgnoreTarget) raise_fault(a.fault, row, target);
  }
  staged.for_each(
      [](int) {},
      [&](int column) {
        float g[kLanes<T>] = {};
        float loss;
        if (counts && column < a.vocab && gradient(staged.logits(column), column, g, loss)) {
          a.losses[row] = loss;
        }
        store_pack(to + column, Pack<T>::of(g));
        if (next != nullptr) staged.fetch(next, column);
      },
      [] { end_group(); });
}

/// One walk over memory to read the rows, one to write their gradients, both at a time.
template <class T>
__global__ void __launch_bounds__(kMostThreads<T>, 1024 / kMostThreads<T>)
    staged_rows_kernel(const Rows<T> a) {
  extern __shared__ uint4 shared[];
  let_next_start();
  const StagedRow<T> staged(a, reinterpret_cast<T*>(shared));
  const float scale = *a.scale;
  std::int64_t row = blockIdx.x;
  staged.for_each([](int) {}, [&](int column) { staged.fetch(a.logits + row * a.columns, column); },
                  [] { end_group(); });
  while (row < a.rows) {
    const std::int64_t next = row + gridDim.x;
    const std::int32_t target = a.targets[row];
    OnlineSoftmax<T> softmax;
    staged.for_each([](int pending) { wait_for_groups(pending); },
                    [&](int column) {
                      if (column < a.vocab) softmax.add(staged.logits(column));
                    },
                    [] {});
    softmax.combine();
    write_staged_gradient(a, staged, softmax, scale, row, target,
                          next < a.rows ? a.logits + next * a.columns : nullptr);
    row = next;
  }
}

template <class T>
std::size_t staged_bytes(const Rows<T>& a) {
  return static_cast<std::size_t>(ceil_div(a.vocab, kLanes<T>)) * 16;
}

/// Blocks that run at once, each with a row in shared memory; 0 where a row does not fit.
std::int64_t staging_blocks(const CudaProperties& device, int threads, std::size_t bytes) {
  constexpr std::size_t kReductions = 1024;  // Shared memory beside the row,
  constexpr std::size_t kReserved = 1024;    // and what each block costs.
  constexpr int kThreads = 1024;             // Whose registers a multiprocessor has.
  const std::size_t room = device.shared_bytes_per_block + kReserved;
  const auto fitting = static_cast<int>(room / (bytes + kReductions + kReserved));
  return std::int64_t{device.multiprocessors} * std::min(fitting, kThreads / threads);
}

}  // namespace
}  // namespace cajal::ops::cuda_backend
