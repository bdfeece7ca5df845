#include <array>

#include "ops/check.h"
#include "ops/cpu_parallel.h"
#include "ops/gelu/gelu_math.h"
#include "ops/linear/backends.h"
#include "ops/linear/onednn.h"

namespace cajal::ops::cpu_backend {
namespace {

/// From this many rows on, packing the weight costs less than it gains.
constexpr std::int64_t kRowsWorthPacking = 1024;

void multiply(CpuContext& context, const ProductShape& shape, const Tensor& a, const Tensor& b,
              const Tensor& bias, const Tensor& c) {
  auto& product = context.cached<Product>(shape.key(), [&] { return Product(shape); });
  const void* bias_data = bias ? bias.data<std::byte>() : nullptr;
  product.run(a.data<std::byte>(), b.data<std::byte>(), bias_data, c.data<std::byte>(),
              context.scratch(product.scratch_bytes()).data());
}

template <class X, class Y>
void apply_gelu(const CpuContext& context, const Tensor& x, const Tensor& y) {
  parallel_chunks(
      context, x.size(), kGrain,
      [from = x.data<X>(), to = y.data<Y>()](std::int64_t, std::int64_t first, std::int64_t last) {
        gelu_span(from + first, to + first, last - first);
      });
}

template <class T>
void apply_gelu_backward(const CpuContext& context, const Tensor& x, const Tensor& dx) {
  parallel_chunks(
      context, x.size(), kGrain,
      [at = x.data<T>(), d = dx.data<T>()](std::int64_t, std::int64_t first, std::int64_t last) {
        gelu_backward_span(at + first, d + first, d + first, last - first);
      });
}

/// sums[j] (+)= sum_i x[i,j], in a strip of columns: the order of additions is that of the rows.
template <class T>
void sum_strip(const T* x, std::int64_t rows, std::int64_t columns, std::int64_t width, float* sums,
               bool accumulate) {
  constexpr std::int64_t kBlock = 64;  // Rows summed apart, which also keeps rounding errors small.
  constexpr std::int64_t kWidth = 256;
  std::array<float, kWidth> total{};
  std::array<float, kWidth> part;
  for (std::int64_t block = 0; block < rows; block += kBlock) {
    part.fill(0.0F);
    for (std::int64_t i = block; i < std::min(rows, block + kBlock); ++i) {
      const T* row = x + i * columns;
#pragma omp simd
      for (std::int64_t j = 0; j < width; ++j) part[j] += static_cast<float>(row[j]);
    }
    for (std::int64_t j = 0; j < width; ++j) total[j] += part[j];
  }
  for (std::int64_t j = 0; j < width; ++j) sums[j] = total[j] + (accumulate ? sums[j] : 0.0F);
}

template <class T>
void sum_columns(const CpuContext& context, const Tensor& x, const Tensor& sums, bool accumulate) {
  const std::int64_t columns = x.dim(-1);
  parallel_chunks(context, columns, 256,
                  [&, from = x.data<T>(), rows = row_count(x), to = sums.data<float>()](
                      std::int64_t, std::int64_t first, std::int64_t last) {
                    sum_strip(from + first, rows, columns, last - first, to + first, accumulate);
                  });
}

void run_linear(CpuContext& context, const LinearArgs& args) {
  const Tensor& product = args.pre_gelu ? args.pre_gelu : args.y;
  const std::int64_t rows = row_count(args.x);
  ProductShape shape{.m = rows,
                     .n = args.y.dim(-1),
                     .k = args.x.dim(-1),
                     .in = args.x.dtype,
                     .out = product.dtype,
                     .b_transposed = args.layout == WeightLayout::out_in,
                     .pack_b = rows >= kRowsWorthPacking};
  if (args.bias) shape.bias = args.bias.dtype;
  multiply(context, shape, args.x, args.weight, args.bias, product);
  if (!args.pre_gelu) return;
  if (args.y.dtype == DType::bf16) {
    apply_gelu<bfloat16, bfloat16>(context, args.pre_gelu, args.y);
  } else if (args.pre_gelu.dtype == DType::bf16) {
    apply_gelu<bfloat16, float>(context, args.pre_gelu, args.y);
  } else {
    apply_gelu<float, float>(context, args.pre_gelu, args.y);
  }
}

void run_backward_input(CpuContext& context, const LinearBackwardInputArgs& args) {
  const std::int64_t rows = row_count(args.dy);
  const ProductShape shape{.m = rows,
                           .n = args.dx.dim(-1),
                           .k = args.dy.dim(-1),
                           .in = args.dy.dtype,
                           .out = args.dx.dtype,
                           .b_transposed = args.layout == WeightLayout::in_out,
                           .pack_b = rows >= kRowsWorthPacking};
  multiply(context, shape, args.dy, args.weight, {}, args.dx);
  if (!args.pre_gelu) return;
  args.dx.dtype == DType::bf16 ? apply_gelu_backward<bfloat16>(context, args.pre_gelu, args.dx)
                               : apply_gelu_backward<float>(context, args.pre_gelu, args.dx);
}

void run_backward_weight(CpuContext& context, const LinearBackwardWeightArgs& args) {
  const bool in_out = args.layout == WeightLayout::in_out;
  const Tensor& a = in_out ? args.x : args.dy;
  const Tensor& b = in_out ? args.dy : args.x;
  const ProductShape shape{.m = a.dim(-1),
                           .n = b.dim(-1),
                           .k = row_count(a),
                           .in = a.dtype,
                           .a_transposed = true,
                           .add_to_c = args.accumulate,
                           .copy_a = a.dtype == DType::bf16,
                           .pack_b = a.dtype == DType::bf16 && row_count(a) >= kRowsWorthPacking};
  multiply(context, shape, a, b, {}, args.dweight);
  if (!args.dbias) return;
  args.dy.dtype == DType::bf16
      ? sum_columns<bfloat16>(context, args.dy, args.dbias, args.accumulate)
      : sum_columns<float>(context, args.dy, args.dbias, args.accumulate);
}

}  // namespace

Kernel linear(const LinearArgs& args) {
  return [args](ExecutionContext& context) { run_linear(cpu(context), args); };
}

Kernel linear_backward_input(const LinearBackwardInputArgs& args) {
  return [args](ExecutionContext& context) { run_backward_input(cpu(context), args); };
}

Kernel linear_backward_weight(const LinearBackwardWeightArgs& args) {
  return [args](ExecutionContext& context) { run_backward_weight(cpu(context), args); };
}

}  // namespace cajal::ops::cpu_backend
