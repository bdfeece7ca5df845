#include "ops/check.h"
#include "ops/linear/backends.h"
#include "ops/linear/cublaslt.h"
#include "ops/linear/cuda_epilogue.h"

// A row-major matrix is its transpose in the library's column-major terms, so y = x W becomes
// y' = W' x', and D's rows are the features that a bias belongs to.
namespace cajal::ops::cuda_backend {
namespace {

CudaMatrix matrix_of(const Tensor& tensor) {
  return {tensor.data<std::byte>(), tensor.dtype, row_count(tensor), tensor.dim(-1)};
}

LtProduct forward_product(const LinearArgs& args) {
  const Tensor& product = args.pre_gelu ? args.pre_gelu : args.y;
  return {.m = args.y.dim(-1),
          .n = row_count(args.x),
          .k = args.x.dim(-1),
          .a_transposed = args.layout == WeightLayout::out_in,
          .in = args.x.dtype,
          .out = product.dtype,
          .a = args.weight.data<std::byte>(),
          .b = args.x.data<std::byte>(),
          .d = product.data<std::byte>()};
}

/// With bias and GELU inside the product, where the library's types allow it.
std::optional<LtProduct> fused_forward(const LinearArgs& args) {
  LtProduct product = forward_product(args);
  if (args.bias && args.bias.dtype != args.y.dtype) return std::nullopt;
  if (args.bias) product.bias = args.bias.data<std::byte>();
  product.epilogue = args.bias ? Epilogue::bias : Epilogue::none;
  if (!args.pre_gelu) return product;
  if (args.pre_gelu.dtype != args.y.dtype) return std::nullopt;
  product.epilogue = args.bias ? Epilogue::gelu_bias : Epilogue::gelu;
  product.d = args.y.data<std::byte>();
  product.aux = args.pre_gelu.data<std::byte>();
  return product;
}

void run_linear(CudaContext& context, const LinearArgs& args) {
  const bool plain = !args.bias && !args.pre_gelu;
  std::vector<ProductVariant> variants;
  if (const auto fused = fused_forward(args))
    variants.push_back({plain ? "plain" : "fused", *fused});
  if (args.pre_gelu && args.bias && args.bias.dtype == args.pre_gelu.dtype) {
    LtProduct product = forward_product(args);
    product.epilogue = Epilogue::bias;
    product.bias = args.bias.data<std::byte>();
    variants.push_back({"bias fused", product, [&] {
                          add_bias_gelu(context, {.x = matrix_of(args.pre_gelu),
                                                  .gelu = args.y.data<std::byte>(),
                                                  .gelu_dtype = args.y.dtype});
                        }});
  }
  if (!plain) {
    variants.push_back({"apart", forward_product(args), [&] {
                          const Tensor& product = args.pre_gelu ? args.pre_gelu : args.y;
                          add_bias_gelu(context,
                                        {.x = matrix_of(product),
                                         .bias = args.bias ? args.bias.data<std::byte>() : nullptr,
                                         .bias_dtype = args.bias ? args.bias.dtype : DType::f32,
                                         .gelu = args.pre_gelu ? args.y.data<std::byte>() : nullptr,
                                         .gelu_dtype = args.y.dtype});
                        }});
  }
  run_best(context, variants);
}

void run_backward_input(CudaContext& context, const LinearBackwardInputArgs& args) {
  const LtProduct product{.m = args.dx.dim(-1),
                          .n = row_count(args.dy),
                          .k = args.dy.dim(-1),
                          .a_transposed = args.layout == WeightLayout::in_out,
                          .in = args.dy.dtype,
                          .out = args.dx.dtype,
                          .a = args.weight.data<std::byte>(),
                          .b = args.dy.data<std::byte>(),
                          .d = args.dx.data<std::byte>()};
  std::vector<ProductVariant> variants;
  if (args.pre_gelu) {
    LtProduct fused = product;
    fused.epilogue = Epilogue::gelu_backward;
    fused.aux = args.pre_gelu.data<std::byte>();
    variants.push_back({"fused", fused});
  }
  variants.push_back({"apart", product, [&] {
                        if (!args.pre_gelu) return;
                        multiply_gelu_gradient(context, matrix_of(args.dx),
                                               args.pre_gelu.data<std::byte>());
                      }});
  run_best(context, variants);
}

/// Where a command's own kernels find room behind the library's workspace.
float* own_scratch(CudaContext& context, std::size_t bytes) {
  return reinterpret_cast<float*>(context.scratch(kLtWorkspace + bytes).data() + kLtWorkspace);
}

void run_backward_weight(CudaContext& context, const LinearBackwardWeightArgs& args) {
  const bool in_out = args.layout == WeightLayout::in_out;
  const Tensor& a = in_out ? args.dy : args.x;
  const Tensor& b = in_out ? args.x : args.dy;
  const LtProduct product{.m = a.dim(-1),
                          .n = b.dim(-1),
                          .k = row_count(a),
                          .b_transposed = true,
                          .in = args.x.dtype,
                          .out = DType::f32,
                          .beta_one = args.accumulate,
                          .a = a.data<std::byte>(),
                          .b = b.data<std::byte>(),
                          .d = args.dweight.data<std::byte>()};
  std::vector<ProductVariant> variants;
  if (!args.dbias) {
    variants.push_back({"plain", product});
    run_best(context, variants);
    return;
  }
  const CudaMatrix dy = matrix_of(args.dy);
  const std::size_t bytes =
      std::max(column_sums_scratch(dy), static_cast<std::size_t>(dy.columns) * sizeof(float));
  float* const room = own_scratch(context, bytes);
  float* const dbias = args.dbias.data<float>();

  LtProduct fused = product;
  fused.epilogue = in_out ? Epilogue::bias_gradient_a : Epilogue::bias_gradient_b;
  // The library overwrites the gradient of the bias, whatever it does to the weight's.
  fused.bias = args.accumulate ? room : dbias;
  variants.push_back({"fused", fused, [&] {
                        if (args.accumulate) add_vector(context, room, dbias, dy.columns);
                      }});
  variants.push_back({"apart", product, [&] {
                        column_sums(context, {dy, dbias, args.accumulate, room});
                      }});
  run_best(context, variants);
}

}  // namespace

Kernel linear(const LinearArgs& args) {
  return [args](ExecutionContext& context) { run_linear(cuda(context), args); };
}

Kernel linear_backward_input(const LinearBackwardInputArgs& args) {
  return [args](ExecutionContext& context) { run_backward_input(cuda(context), args); };
}

Kernel linear_backward_weight(const LinearBackwardWeightArgs& args) {
  return [args](ExecutionContext& context) { run_backward_weight(cuda(context), args); };
}

}  // namespace cajal::ops::cuda_backend
