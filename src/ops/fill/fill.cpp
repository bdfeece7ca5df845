#include "ops/fill/fill.h"

#include "ops/check.h"
#include "ops/dispatch.h"
#include "ops/fill/backends.h"

namespace cajal::ops {

void zero(CommandBuffer& commands, const Tensor& x) {
  require_present("zero", "x", x);
  commands.encode("zero", {{x.buffer, Access::write}},
                  kernel_for<Tensor>(commands.device(), "zero",
                                     {.cpu = cpu_backend::zero, .cuda = cuda_backend::zero}, x));
}

void convert(CommandBuffer& commands, const Tensor& from, const Tensor& to) {
  constexpr auto op = "convert";
  require_dtype(op, "from", from, {DType::f32, DType::bf16});
  require_dtype(op, "to", to, {DType::f32, DType::bf16});
  require(from.size() == to.size(), op, "from and to differ in their number of elements");
  require_disjoint(op, "to", to, "from", from);
  const ConvertArgs args{from, to};
  commands.encode(
      op, {{from.buffer, Access::read}, {to.buffer, Access::write}},
      kernel_for<ConvertArgs>(commands.device(), op,
                              {.cpu = cpu_backend::convert, .cuda = cuda_backend::convert}, args));
}

}  // namespace cajal::ops
