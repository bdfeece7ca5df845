#include "ops/layer_norm/layer_norm.h"

#include "ops/check.h"
#include "ops/dispatch.h"
#include "ops/layer_norm/backends.h"

namespace cajal::ops {
namespace {

void check_like(std::string_view op, std::string_view name, const Tensor& tensor,
                const Tensor& like) {
  require_dtype(op, name, tensor, {like.dtype});
  require_shape(op, name, tensor, like.shape);
}

void check_channels(std::string_view op, std::string_view name, const Tensor& tensor,
                    const Tensor& x) {
  require_dtype(op, name, tensor, {DType::f32});
  require_shape(op, name, tensor, {x.dim(-1)});
}

/// One f32 value a row, in any shape.
void check_statistic(std::string_view op, std::string_view name, const Tensor& tensor,
                     const Tensor& x) {
  require_dtype(op, name, tensor, {DType::f32});
  require(tensor.size() == row_count(x), op, "mean and rstd need one element a row");
}

void check(std::string_view op, const LayerNormArgs& args) {
  require_dtype(op, "x", args.x, {DType::f32, DType::bf16});
  require(!args.x.shape.empty() && args.x.dim(-1) > 0, op, "x has no last dimension");
  check_like(op, "y", args.y, args.x);
  check_channels(op, "weight", args.weight, args.x);
  check_channels(op, "bias", args.bias, args.x);
  check_statistic(op, "mean", args.mean, args.x);
  check_statistic(op, "rstd", args.rstd, args.x);
  require_disjoint(op, "y", args.y, "x", args.x);
  require(static_cast<bool>(args.residual) == static_cast<bool>(args.sum), op,
          "residual and sum come together");
  if (!args.residual) return;
  check_like(op, "residual", args.residual, args.x);
  check_like(op, "sum", args.sum, args.x);
  require_no_partial_overlap(op, "sum", args.sum, "x", args.x);
  require_no_partial_overlap(op, "sum", args.sum, "residual", args.residual);
  require_disjoint(op, "y", args.y, "sum", args.sum);
  require_disjoint(op, "y", args.y, "residual", args.residual);
}

void check(std::string_view op, const LayerNormBackwardArgs& args) {
  require_dtype(op, "dy", args.dy, {DType::f32, DType::bf16});
  require(!args.dy.shape.empty() && args.dy.dim(-1) > 0, op, "dy has no last dimension");
  check_like(op, "sum", args.sum, args.dy);
  check_like(op, "ds", args.ds, args.dy);
  check_channels(op, "weight", args.weight, args.dy);
  check_channels(op, "dweight", args.dweight, args.dy);
  check_channels(op, "dbias", args.dbias, args.dy);
  if (args.dbranch_bias) check_channels(op, "dbranch_bias", args.dbranch_bias, args.dy);
  check_statistic(op, "mean", args.mean, args.dy);
  check_statistic(op, "rstd", args.rstd, args.dy);
  if (args.dsum) {
    check_like(op, "dsum", args.dsum, args.dy);
    require_no_partial_overlap(op, "ds", args.ds, "dsum", args.dsum);
  }
  require_no_partial_overlap(op, "ds", args.ds, "dy", args.dy);
  require_no_partial_overlap(op, "ds", args.ds, "sum", args.sum);
}

}  // namespace

void layer_norm(CommandBuffer& commands, const LayerNormArgs& args) {
  constexpr auto op = "layer_norm";
  check(op, args);
  std::vector<BufferUse> uses{{args.x.buffer, Access::read},     {args.weight.buffer, Access::read},
                              {args.bias.buffer, Access::read},  {args.y.buffer, Access::write},
                              {args.mean.buffer, Access::write}, {args.rstd.buffer, Access::write}};
  if (args.residual) {
    uses.push_back({args.residual.buffer, Access::read});
    uses.push_back({args.sum.buffer, Access::write});
  }
  commands.encode(op, std::move(uses),
                  kernel_for<LayerNormArgs>(
                      commands.device(), op,
                      {.cpu = cpu_backend::layer_norm, .cuda = cuda_backend::layer_norm}, args));
}

void layer_norm_backward(CommandBuffer& commands, const LayerNormBackwardArgs& args) {
  constexpr auto op = "layer_norm_backward";
  check(op, args);
  const Access parameter = args.accumulate ? Access::read_write : Access::write;
  std::vector<BufferUse> uses{{args.dy.buffer, Access::read},     {args.sum.buffer, Access::read},
                              {args.weight.buffer, Access::read}, {args.mean.buffer, Access::read},
                              {args.rstd.buffer, Access::read},   {args.ds.buffer, Access::write},
                              {args.dweight.buffer, parameter},   {args.dbias.buffer, parameter}};
  if (args.dsum) uses.push_back({args.dsum.buffer, Access::read});
  if (args.dbranch_bias) uses.push_back({args.dbranch_bias.buffer, parameter});
  commands.encode(op, std::move(uses),
                  kernel_for<LayerNormBackwardArgs>(commands.device(), op,
                                                    {.cpu = cpu_backend::layer_norm_backward,
                                                     .cuda = cuda_backend::layer_norm_backward},
                                                    args));
}

}  // namespace cajal::ops
