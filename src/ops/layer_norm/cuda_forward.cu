#include "ops/check.h"
#include "ops/cuda_kernel.cuh"
#include "ops/layer_norm/backends.h"

namespace cajal::ops::cuda_backend {
namespace {

template <class T>
struct Forward {
  const T* x;
  const T* residual;  ///< Null: none.
  const float* weight;
  const float* bias;
  T* y;
  T* sum;  ///< May be x or residual.
  float* mean;
  float* rstd;
  std::int64_t rows;
  int width;
  float inverse_width;
  float epsilon;
  bool packed;  ///< Rows are whole packs, aligned.
};

constexpr auto kName = "layer_norm";
constexpr int kRowsPerBlock = 4;  // A warp each.

/// When a warp loads weight and bias: together with its row, where there are so few rows that what
/// counts is the longest chain of loads; else once the row's statistics are known, which leaves
/// registers for more warps.
enum class Parameters { early, late };

/// A lane's columns of weight and bias.
template <class T, int kPacks>
struct ParameterPacks {
  Pack<float, kLanes<T>> weight[kPacks];
  Pack<float, kLanes<T>> bias[kPacks];

  __device__ void load(const Forward<T>& a, int p, int column) {
    weight[p] = load_pack<float, kLanes<T>>(a.weight + column);
    bias[p] = load_pack<float, kLanes<T>>(a.bias + column);
  }
};

/// A warp holds its row in registers: memory is read and written once.
template <class T, int kPacks, Parameters kParameters>
__global__ void __launch_bounds__(kRowsPerBlock* kWarp) warp_rows_kernel(const Forward<T> a) {
  constexpr int kCount = kLanes<T>;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const std::int64_t row = std::int64_t{blockIdx.x} * kRowsPerBlock + threadIdx.x / kWarp;
  if (row >= a.rows) return;
  const std::int64_t at = row * a.width;

  Pack<T> x[kPacks];
  Pack<T> residual[kPacks];
  ParameterPacks<T, kPacks> parameters;
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const int column = (p * kWarp + lane) * kCount;
    if (column >= a.width) continue;
    x[p] = load_pack(a.x + at + column);
    if (a.residual != nullptr) residual[p] = load_pack(a.residual + at + column);
  }
  // Before the row's sum is stored: loads cannot be moved ahead of stores.
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const int column = (p * kWarp + lane) * kCount;
    if (kParameters == Parameters::early && column < a.width) parameters.load(a, p, column);
  }

  float s[kPacks][kCount] = {};
  float total = 0.0F;
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const int column = (p * kWarp + lane) * kCount;
    if (column >= a.width) continue;
    x[p].unpack(s[p]);
    if (a.residual != nullptr) {
#pragma unroll
      for (int i = 0; i < kCount; ++i) s[p][i] += residual[p].get(i);
      const auto stored = Pack<T>::of(s[p]);
      store_pack(a.sum + at + column, stored);
      stored.unpack(s[p]);
    }
#pragma unroll
    for (int i = 0; i < kCount; ++i) total += s[p][i];
  }
  const float mean = warp_sum(total) * a.inverse_width;

  float squares = 0.0F;
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    if ((p * kWarp + lane) * kCount >= a.width) continue;
#pragma unroll
    for (int i = 0; i < kCount; ++i) squares += (s[p][i] - mean) * (s[p][i] - mean);
  }
  const float rstd = rsqrtf(warp_sum(squares) * a.inverse_width + a.epsilon);

#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const int column = (p * kWarp + lane) * kCount;
    if (column >= a.width) continue;
    if (kParameters == Parameters::late) parameters.load(a, p, column);
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      s[p][i] = (s[p][i] - mean) * rstd * parameters.weight[p].get(i) + parameters.bias[p].get(i);
    }
    store_pack(a.y + at + column, Pack<T>::of(s[p]));
  }
  if (lane == 0) {
    a.mean[row] = mean;
    a.rstd[row] = rstd;
  }
}

/// Part of a row as a thread of block_row_kernel sees it.
template <class T>
struct Part {
  std::int64_t column;
  std::int64_t valid;
  bool packed;

  __device__ void load(const T* row, float (&to)[kLanes<T>]) const {
    load_some(row + column, valid, packed, to);
  }
  __device__ void store(T* row, const float (&from)[kLanes<T>]) const {
    store_some(row + column, valid, packed, from);
  }
};

template <class T, class Body>
__device__ void for_each_part(int width, bool packed, const Body& body) {
  constexpr int kCount = kLanes<T>;
  for (std::int64_t column = threadIdx.x * kCount; column < width; column += blockDim.x * kCount) {
    body(Part<T>{column, width - column, packed});
  }
}

/// Stores the row's sum with the residual, as rounded; returns this thread's share of its total.
template <class T>
__device__ float add_residual(const Forward<T>& a, std::int64_t at) {
  constexpr int kCount = kLanes<T>;
  float total = 0.0F;
  for_each_part<T>(a.width, a.packed, [&](const Part<T>& part) {
    float s[kCount];
    part.load(a.x + at, s);
    if (a.residual != nullptr) {
      float residual[kCount];
      part.load(a.residual + at, residual);
#pragma unroll
      for (int i = 0; i < kCount; ++i) s[i] += residual[i];
      const auto stored = Pack<T>::of(s);
      stored.unpack(s);
      part.store(a.sum + at, s);
    }
#pragma unroll
    for (int i = 0; i < kCount; ++i) total += s[i];
  });
  return total;
}

/// Rows of any width and alignment; what a thread reads again it has itself read or written, so the
/// caches have it.
template <class T>
__global__ void __launch_bounds__(256) block_row_kernel(const Forward<T> a) {
  constexpr int kCount = kLanes<T>;
  const std::int64_t row = blockIdx.x;
  const std::int64_t at = row * a.width;
  const T* from = (a.residual != nullptr ? a.sum : a.x) + at;
  const float mean = block_sum(add_residual(a, at)) / static_cast<float>(a.width);

  float squares = 0.0F;
  for_each_part<T>(a.width, a.packed, [&](const Part<T>& part) {
    float s[kCount];
    part.load(from, s);
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      if (i < part.valid) squares += (s[i] - mean) * (s[i] - mean);
    }
  });
  const float variance = block_sum(squares) / static_cast<float>(a.width);
  const float rstd = 1.0F / sqrtf(variance + a.epsilon);

  for_each_part<T>(a.width, a.packed, [&](const Part<T>& part) {
    float s[kCount];
    float weight[kCount];
    float bias[kCount];
    part.load(from, s);
    load_some(a.weight + part.column, part.valid, part.packed, weight);
    load_some(a.bias + part.column, part.valid, part.packed, bias);
#pragma unroll
    for (int i = 0; i < kCount; ++i) s[i] = (s[i] - mean) * rstd * weight[i] + bias[i];
    part.store(a.y + at, s);
  });
  if (threadIdx.x == 0) {
    a.mean[row] = mean;
    a.rstd[row] = rstd;
  }
}

template <class T>
Forward<T> arguments(const LayerNormArgs& args) {
  const auto width = static_cast<int>(args.x.dim(-1));
  Forward<T> a{.x = args.x.data<T>(),
               .residual = args.residual ? args.residual.data<T>() : nullptr,
               .weight = args.weight.data<float>(),
               .bias = args.bias.data<float>(),
               .y = args.y.data<T>(),
               .sum = args.residual ? args.sum.data<T>() : nullptr,
               .mean = args.mean.data<float>(),
               .rstd = args.rstd.data<float>(),
               .rows = row_count(args.x),
               .width = width,
               .inverse_width = 1.0F / static_cast<float>(width),
               .epsilon = args.epsilon,
               .packed = width % kLanes<T> == 0};
  a.packed = a.packed && aligned_to_packs(a.x, a.residual, a.weight, a.bias, a.y, a.sum);
  return a;
}

template <class T, int kPacks>
void run_warp_rows(const CudaContext& context, const Forward<T>& a) {
  constexpr std::int64_t kFewBlocks = 2;  // A multiprocessor.
  const std::int64_t blocks = ceil_div(a.rows, kRowsPerBlock);
  const bool few = blocks <= kFewBlocks * context.device().multiprocessors;
  launch(context, kName,
         few ? warp_rows_kernel<T, kPacks, Parameters::early>
             : warp_rows_kernel<T, kPacks, Parameters::late>,
         {extent(blocks), kRowsPerBlock * kWarp}, a);
}

template <class T>
void run(const CudaContext& context, const LayerNormArgs& args) {
  const Forward<T> a = arguments<T>(args);
  const std::int64_t packs = ceil_div(a.width, kWarp * kLanes<T>);
  if (!a.packed || packs > 8) {
    launch(context, kName, block_row_kernel<T>, {extent(a.rows), a.width > 2048 ? 256U : 128U}, a);
  } else if (packs > 4) {
    packs > 6 ? run_warp_rows<T, 8>(context, a) : run_warp_rows<T, 6>(context, a);
  } else if (packs > 2) {
    packs > 3 ? run_warp_rows<T, 4>(context, a) : run_warp_rows<T, 3>(context, a);
  } else {
    packs > 1 ? run_warp_rows<T, 2>(context, a) : run_warp_rows<T, 1>(context, a);
  }
}

}  // namespace

Kernel layer_norm(const LayerNormArgs& args) {
  return [args](ExecutionContext& context) {
    args.x.dtype == DType::f32 ? run<float>(cuda(context), args)
                               : run<__nv_bfloat16>(cuda(context), args);
  };
}

}  // namespace cajal::ops::cuda_backend
