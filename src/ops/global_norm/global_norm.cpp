#include "ops/global_norm/global_norm.h"

#include "ops/check.h"
#include "ops/dispatch.h"
#include "ops/global_norm/backends.h"

namespace cajal::ops {

void global_norm(CommandBuffer& commands, const GlobalNormArgs& args) {
  constexpr auto op = "global_norm";
  require_dtype(op, "x", args.x, {DType::f32});
  require_dtype(op, "norm", args.norm, {DType::f32});
  require_shape(op, "norm", args.norm, {1});
  require_disjoint(op, "norm", args.norm, "x", args.x);
  commands.encode(op, {{args.x.buffer, Access::read}, {args.norm.buffer, Access::write}},
                  kernel_for<GlobalNormArgs>(
                      commands.device(), op,
                      {.cpu = cpu_backend::global_norm, .cuda = cuda_backend::global_norm}, args));
}

}  // namespace cajal::ops
