#include "ops/dropout/dropout.h"

#include "ops/check.h"
#include "ops/dispatch.h"
#include "ops/dropout/backends.h"

namespace cajal::ops {

void dropout(CommandBuffer& commands, const DropoutArgs& args) {
  constexpr auto op = "dropout";
  require_dtype(op, "x", args.x, {DType::f32, DType::bf16});
  require_dtype(op, "y", args.y, {args.x.dtype});
  require_shape(op, "y", args.y, args.x.shape);
  require_no_partial_overlap(op, "y", args.y, "x", args.x);
  require_dtype(op, "seed", args.seed, {DType::i32});
  require_shape(op, "seed", args.seed, {2});
  require(args.probability >= 0.0F && args.probability < 1.0F, op, "probability must lie in [0,1)");
  commands.encode(
      op,
      {{args.x.buffer, Access::read},
       {args.seed.buffer, Access::read},
       {args.y.buffer, Access::write}},
      kernel_for<DropoutArgs>(commands.device(), op,
                              {.cpu = cpu_backend::dropout, .cuda = cuda_backend::dropout}, args));
}

}  // namespace cajal::ops
