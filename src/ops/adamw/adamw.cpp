#include "ops/adamw/adamw.h"

#include "ops/adamw/backends.h"
#include "ops/check.h"
#include "ops/dispatch.h"

namespace cajal::ops {
namespace {

constexpr auto kOp = "adamw";

void check_array(std::string_view name, const Tensor& tensor, const Shape& shape, DType dtype) {
  require_dtype(kOp, name, tensor, {dtype});
  require_shape(kOp, name, tensor, shape);
}

void check(const AdamWArgs& args) {
  require_dtype(kOp, "param", args.param, {DType::f32});
  const Shape& shape = args.param.shape;
  check_array("grad", args.grad, shape, DType::f32);
  check_array("m", args.m, shape, DType::f32);
  check_array("v", args.v, shape, DType::f32);
  if (args.compute) check_array("compute", args.compute, shape, DType::bf16);
  check_array("norm", args.norm, {1}, DType::f32);
  check_array("hyper", args.hyper, {sizeof(AdamWHyper) / sizeof(float)}, DType::f32);
  check_array("state", args.state, {sizeof(AdamWState) / sizeof(std::int32_t)}, DType::i32);
  require(args.decayed >= 0 && args.decayed <= args.param.size(), kOp,
          "decayed must lie in [0, n]");
  require_disjoint(kOp, "param", args.param, "grad", args.grad);
  require_disjoint(kOp, "param", args.param, "m", args.m);
  require_disjoint(kOp, "param", args.param, "v", args.v);
  require_disjoint(kOp, "m", args.m, "grad", args.grad);
  require_disjoint(kOp, "m", args.m, "v", args.v);
  require_disjoint(kOp, "v", args.v, "grad", args.grad);
  require_disjoint(kOp, "compute", args.compute, "param", args.param);
}

}  // namespace

void adamw(CommandBuffer& commands, const AdamWArgs& args) {
  check(args);
  std::vector<BufferUse> uses{
      {args.param.buffer, Access::read_write}, {args.grad.buffer, Access::read},
      {args.m.buffer, Access::read_write},     {args.v.buffer, Access::read_write},
      {args.norm.buffer, Access::read},        {args.hyper.buffer, Access::read},
      {args.state.buffer, Access::read_write}};
  if (args.compute) uses.push_back({args.compute.buffer, Access::write});
  commands.encode(
      kOp, std::move(uses),
      kernel_for<AdamWArgs>(commands.device(), kOp,
                            {.cpu = cpu_backend::adamw, .cuda = cuda_backend::adamw}, args));
}

}  // namespace cajal::ops
