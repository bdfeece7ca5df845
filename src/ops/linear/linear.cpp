#include "ops/linear/linear.h"

#include "ops/check.h"
#include "ops/dispatch.h"
#include "ops/linear/backends.h"

namespace cajal::ops {
namespace {

Shape weight_shape(WeightLayout layout, std::int64_t in, std::int64_t out) {
  return layout == WeightLayout::in_out ? Shape{in, out} : Shape{out, in};
}

/// The shape of `like` with its last dimension replaced.
Shape with_width(const Tensor& like, std::int64_t width) {
  Shape shape = like.shape;
  shape.back() = width;
  return shape;
}

void require_matrix(std::string_view operation, std::string_view argument, const Tensor& tensor) {
  require_dtype(operation, argument, tensor, {DType::f32, DType::bf16});
  require(!tensor.shape.empty() && tensor.size() > 0, operation,
          std::string(argument) + " is empty");
}

void require_fp8(std::string_view operation, const Device& device, const Tensor& x,
                 const Tensor& weight) {
  constexpr std::int64_t kMultiple = 16;
  require(device.info().supports_fp8, operation, device.info().name + " has no fp8");
  require(x.dtype == DType::bf16, operation, "fp8 products take bf16");
  for (const std::int64_t size : {row_count(x), weight.dim(0), weight.dim(1)}) {
    require(size % kMultiple == 0, operation, "fp8 needs sizes that are multiples of 16");
  }
}

/// The width on the side of the weight that the operation's first argument does not show.
std::int64_t other_width(std::string_view operation, const Tensor& weight, bool last) {
  require_present(operation, "weight", weight);
  require(weight.shape.size() == 2, operation,
          "weight has shape " + to_string(weight.shape) + ", needs two dimensions");
  return weight.dim(last ? 1 : 0);
}

}  // namespace

void linear(CommandBuffer& commands, const LinearArgs& args) {
  constexpr std::string_view kName = "linear";
  require_matrix(kName, "x", args.x);
  const DType dtype = args.x.dtype;
  const std::int64_t in = args.x.dim(-1);
  const std::int64_t out = other_width(kName, args.weight, args.layout == WeightLayout::in_out);
  const Shape y_shape = with_width(args.x, out);
  require_shape(kName, "weight", args.weight, weight_shape(args.layout, in, out));
  require_dtype(kName, "weight", args.weight, {dtype});
  require_shape(kName, "y", args.y, y_shape);
  require_dtype(kName, "y", args.y, {dtype, DType::f32});
  std::vector<BufferUse> uses{{args.x.buffer, Access::read},
                              {args.weight.buffer, Access::read},
                              {args.y.buffer, Access::write}};
  if (args.bias) {
    require_shape(kName, "bias", args.bias, {out});
    require_dtype(kName, "bias", args.bias, {dtype, DType::f32});
    uses.push_back({args.bias.buffer, Access::read});
  }
  if (args.pre_gelu) {
    require_shape(kName, "pre_gelu", args.pre_gelu, y_shape);
    require_dtype(kName, "pre_gelu", args.pre_gelu, {dtype});
    uses.push_back({args.pre_gelu.buffer, Access::write});
  }
  for (const auto& [name, tensor] : {std::pair{"x", args.x},
                                     {"weight", args.weight},
                                     {"bias", args.bias},
                                     {"pre_gelu", args.pre_gelu}}) {
    require_disjoint(kName, "y", args.y, name, tensor);
  }
  for (const auto& [name, tensor] :
       {std::pair{"x", args.x}, {"weight", args.weight}, {"bias", args.bias}}) {
    require_disjoint(kName, "pre_gelu", args.pre_gelu, name, tensor);
  }
  if (args.fp8) require_fp8(kName, commands.device(), args.x, args.weight);
  commands.encode(kName, std::move(uses),
                  kernel_for(commands.device(), kName,
                             {.cpu = cpu_backend::linear, .cuda = cuda_backend::linear}, args));
}

void linear_backward_input(CommandBuffer& commands, const LinearBackwardInputArgs& args) {
  constexpr std::string_view kName = "linear_backward_input";
  require_matrix(kName, "dy", args.dy);
  const DType dtype = args.dy.dtype;
  const std::int64_t out = args.dy.dim(-1);
  const std::int64_t in = other_width(kName, args.weight, args.layout == WeightLayout::out_in);
  const Shape x_shape = with_width(args.dy, in);
  require_shape(kName, "weight", args.weight, weight_shape(args.layout, in, out));
  require_dtype(kName, "weight", args.weight, {dtype});
  require_shape(kName, "dx", args.dx, x_shape);
  require_dtype(kName, "dx", args.dx, {dtype});
  std::vector<BufferUse> uses{{args.dy.buffer, Access::read},
                              {args.weight.buffer, Access::read},
                              {args.dx.buffer, Access::write}};
  if (args.pre_gelu) {
    require_shape(kName, "pre_gelu", args.pre_gelu, x_shape);
    require_dtype(kName, "pre_gelu", args.pre_gelu, {dtype});
    uses.push_back({args.pre_gelu.buffer, Access::read});
  }
  require_disjoint(kName, "dx", args.dx, "dy", args.dy);
  require_disjoint(kName, "dx", args.dx, "weight", args.weight);
  require_disjoint(kName, "dx", args.dx, "pre_gelu", args.pre_gelu);
  if (args.fp8) require_fp8(kName, commands.device(), args.dy, args.weight);
  commands.encode(kName, std::move(uses),
                  kernel_for(commands.device(), kName,
                             {.cpu = cpu_backend::linear_backward_input,
                              .cuda = cuda_backend::linear_backward_input},
                             args));
}

void linear_backward_weight(CommandBuffer& commands, const LinearBackwardWeightArgs& args) {
  constexpr std::string_view kName = "linear_backward_weight";
  require_matrix(kName, "x", args.x);
  require_matrix(kName, "dy", args.dy);
  const std::int64_t in = args.x.dim(-1);
  const std::int64_t out = args.dy.dim(-1);
  require_shape(kName, "dy", args.dy, with_width(args.x, out));
  require_dtype(kName, "dy", args.dy, {args.x.dtype});
  require_shape(kName, "dweight", args.dweight, weight_shape(args.layout, in, out));
  require_dtype(kName, "dweight", args.dweight, {DType::f32});
  const Access access = args.accumulate ? Access::read_write : Access::write;
  std::vector<BufferUse> uses{
      {args.x.buffer, Access::read}, {args.dy.buffer, Access::read}, {args.dweight.buffer, access}};
  if (args.dbias) {
    require_shape(kName, "dbias", args.dbias, {out});
    require_dtype(kName, "dbias", args.dbias, {DType::f32});
    uses.push_back({args.dbias.buffer, access});
  }
  for (const auto& [name, tensor] :
       {std::pair{"x", args.x}, {"dy", args.dy}, {"dbias", args.dbias}}) {
    require_disjoint(kName, "dweight", args.dweight, name, tensor);
  }
  require_disjoint(kName, "dbias", args.dbias, "x", args.x);
  require_disjoint(kName, "dbias", args.dbias, "dy", args.dy);
  commands.encode(kName, std::move(uses),
                  kernel_for(commands.device(), kName,
                             {.cpu = cpu_backend::linear_backward_weight,
                              .cuda = cuda_backend::linear_backward_weight},
                             args));
}

}  // namespace cajal::ops
