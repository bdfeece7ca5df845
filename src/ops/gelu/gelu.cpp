#include "ops/gelu/gelu.h"

#include "ops/check.h"
#include "ops/dispatch.h"
#include "ops/gelu/backends.h"

namespace cajal::ops {

void gelu(CommandBuffer& commands, const GeluArgs& args) {
  constexpr std::string_view kName = "gelu";
  require_dtype(kName, "x", args.x, {DType::f32, DType::bf16});
  require_shape(kName, "y", args.y, args.x.shape);
  require_dtype(kName, "y", args.y, {args.x.dtype});
  require_no_partial_overlap(kName, "y", args.y, "x", args.x);
  commands.encode(kName, {{args.x.buffer, Access::read}, {args.y.buffer, Access::write}},
                  kernel_for(commands.device(), kName,
                             {.cpu = cpu_backend::gelu, .cuda = cuda_backend::gelu}, args));
}

void gelu_backward(CommandBuffer& commands, const GeluBackwardArgs& args) {
  constexpr std::string_view kName = "gelu_backward";
  require_dtype(kName, "x", args.x, {DType::f32, DType::bf16});
  require_shape(kName, "dy", args.dy, args.x.shape);
  require_dtype(kName, "dy", args.dy, {args.x.dtype});
  require_shape(kName, "dx", args.dx, args.x.shape);
  require_dtype(kName, "dx", args.dx, {args.x.dtype});
  require_disjoint(kName, "dx", args.dx, "x", args.x);
  require_no_partial_overlap(kName, "dx", args.dx, "dy", args.dy);
  commands.encode(
      kName,
      {{args.x.buffer, Access::read},
       {args.dy.buffer, Access::read},
       {args.dx.buffer, Access::write}},
      kernel_for(commands.device(), kName,
                 {.cpu = cpu_backend::gelu_backward, .cuda = cuda_backend::gelu_backward}, args));
}

}  // namespace cajal::ops
