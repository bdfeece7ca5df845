#include <algorithm>
#include <optional>
#include <vector>

#include "ops/check.h"
#include "ops/linear/backends.h"
#include "ops/linear/cublaslt.h"
#include "ops/linear/cuda_epilogue.h"
#include "ops/linear/cuda_fp8.h"

// A row-major matrix is its transpose in the library's column-major terms, so y = x W becomes
// y' = W' x', and D's rows are the features that a bias belongs to.
namespace cajal::ops::cuda_backend {
namespace {

CudaMatrix matrix_of(const Tensor& tensor) {
  return {tensor.data<std::byte>(), tensor.dtype, row_count(tensor), tensor.dim(-1)};
}

/// Where a command's own kernels find room behind the library's workspace.
std::byte* own_scratch(CudaContext& context, std::size_t bytes) {
  return context.scratch(kLtWorkspace + bytes).data() + kLtWorkspace;
}

/// Scratch for a bias in another type, before all else that a command keeps there.
std::size_t bias_room(std::int64_t width) {
  constexpr std::size_t kAlignment = 256;
  return (static_cast<std::size_t>(width) * sizeof(float) + kAlignment - 1) / kAlignment *
         kAlignment;
}

/// Rounds both operands to fp8, k innermost as the library's fp8 kernels want them, and makes
/// `product` one of these copies. `weight_turned`: the weight is stored [k,m] row by row.
void use_fp8(CudaContext& context, LtProduct& product, const Tensor& weight, bool weight_turned,
             const Tensor& x, Fp8Product kind) {
  const CudaMatrix weights = matrix_of(weight);
  const CudaMatrix xs = matrix_of(x);
  const std::size_t weight_bytes = fp8_operand_bytes(weights);
  const std::size_t first = bias_room(product.m);
  std::byte* const room =
      own_scratch(context, first + weight_bytes + fp8_operand_bytes(xs)) + first;
  const Fp8Operand a = place_fp8(room);
  const Fp8Operand b = place_fp8(room + weight_bytes);
  const bool gradient = kind == Fp8Product::gradient;
  quantize_fp8(context, weights, Fp8Format::e4m3, weight_turned, a);
  quantize_fp8(context, xs, gradient ? Fp8Format::e5m2 : Fp8Format::e4m3, /*transposed=*/false, b);
  product.fp8 = kind;
  product.a_transposed = true;
  product.a = a.data;
  product.b = b.data;
  product.a_scale = a.scale;
  product.b_scale = b.scale;
}

LtProduct forward_product(CudaContext& context, const LinearArgs& args) {
  const Tensor& result = args.pre_gelu ? args.pre_gelu : args.y;
  LtProduct product{.m = args.y.dim(-1),
                    .n = row_count(args.x),
                    .k = args.x.dim(-1),
                    .a_transposed = args.layout == WeightLayout::out_in,
                    .in = args.x.dtype,
                    .out = result.dtype,
                    .a = args.weight.data<std::byte>(),
                    .b = args.x.data<std::byte>(),
                    .d = result.data<std::byte>()};
  if (args.fp8) {
    use_fp8(context, product, args.weight, args.layout == WeightLayout::in_out, args.x,
            Fp8Product::forward);
  }
  return product;
}

/// A bias in the type of what it is added to, as the library wants it.
void* bias_of(CudaContext& context, const LinearArgs& args) {
  if (!args.bias) return nullptr;
  const Tensor& result = args.pre_gelu ? args.pre_gelu : args.y;
  if (args.bias.dtype == result.dtype) return args.bias.data<std::byte>();
  std::byte* const converted = own_scratch(context, bias_room(args.y.dim(-1)));
  convert_vector(context, args.bias.data<std::byte>(), args.bias.dtype, converted,
                 args.bias.size());
  return converted;
}

/// With bias and GELU inside the product. The library's GELU is good enough for bf16 alone.
std::optional<LtProduct> fused_forward(const LinearArgs& args, LtProduct product, void* bias) {
  product.bias = bias;
  product.epilogue = bias != nullptr ? Epilogue::bias : Epilogue::none;
  if (!args.pre_gelu) return product;
  if (args.pre_gelu.dtype != DType::bf16 || args.y.dtype != DType::bf16) return std::nullopt;
  product.epilogue = bias != nullptr ? Epilogue::gelu_bias : Epilogue::gelu;
  product.d = args.y.data<std::byte>();
  product.aux = args.pre_gelu.data<std::byte>();
  return product;
}

/// What follows a product: the bias where it is not in it, and GELU.
void finish_forward(CudaContext& context, const LinearArgs& args, void* bias) {
  const Tensor& result = args.pre_gelu ? args.pre_gelu : args.y;
  BiasGelu rest{.x = matrix_of(result), .bias = bias, .bias_dtype = result.dtype};
  if (args.pre_gelu) {
    rest.gelu = args.y.data<std::byte>();
    rest.gelu_dtype = args.y.dtype;
  }
  if (rest.bias != nullptr || rest.gelu != nullptr) add_bias_gelu(context, rest);
}

void run_linear(CudaContext& context, const LinearArgs& args) {
  const LtProduct product = forward_product(context, args);
  void* const bias = bias_of(context, args);
  std::vector<ProductVariant> variants;
  if (const auto fused = fused_forward(args, product, bias)) variants.push_back({"fused", *fused});
  if (bias != nullptr && args.pre_gelu) {
    LtProduct with_bias = product;
    with_bias.epilogue = Epilogue::bias;
    with_bias.bias = bias;
    variants.push_back(
        {"bias fused", with_bias, [&] { finish_forward(context, args, /*bias=*/nullptr); }});
  }
  // A bf16 product that the bias is added to afterwards would be rounded twice.
  const bool rounds_once = bias == nullptr || product.out == DType::f32;
  if (rounds_once && (bias != nullptr || args.pre_gelu)) {
    variants.push_back({"apart", product, [&] { finish_forward(context, args, bias); }});
  }
  run_best(context, variants);
}

void run_backward_input(CudaContext& context, const LinearBackwardInputArgs& args) {
  LtProduct product{.m = args.dx.dim(-1),
                    .n = row_count(args.dy),
                    .k = args.dy.dim(-1),
                    .a_transposed = args.layout == WeightLayout::in_out,
                    .in = args.dy.dtype,
                    .out = args.dx.dtype,
                    .a = args.weight.data<std::byte>(),
                    .b = args.dy.data<std::byte>(),
                    .d = args.dx.data<std::byte>()};
  if (args.fp8) {
    use_fp8(context, product, args.weight, args.layout == WeightLayout::out_in, args.dy,
            Fp8Product::gradient);
  }
  std::vector<ProductVariant> variants;
  if (args.pre_gelu && args.pre_gelu.dtype == DType::bf16) {
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
  auto* const room = reinterpret_cast<float*>(own_scratch(context, bytes));
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
