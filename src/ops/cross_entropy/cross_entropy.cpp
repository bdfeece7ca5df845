#include "ops/cross_entropy/cross_entropy.h"

#include <fmt/format.h>

#include "ops/check.h"
#include "ops/cross_entropy/backends.h"
#include "ops/dispatch.h"

namespace cajal::ops {
namespace {

void check_scalar(std::string_view op, std::string_view name, const Tensor& tensor) {
  require_dtype(op, name, tensor, {DType::f32});
  require_shape(op, name, tensor, {1});
}

void check(std::string_view op, const CrossEntropyArgs& args) {
  require_dtype(op, "logits", args.logits, {DType::f32, DType::bf16});
  require(args.logits.shape.size() == 2, op, "logits must have shape [N,Vpadded]");
  require(args.vocab >= 1 && args.vocab <= args.logits.dim(1), op,
          "vocab must lie in [1, columns of logits]");
  require_dtype(op, "targets", args.targets, {DType::i32});
  require(args.targets.size() == args.logits.dim(0), op,
          "targets need one element a row of logits");
  check_scalar(op, "scale", args.scale);
  check_scalar(op, "loss", args.loss);
  if (!args.dlogits) return;
  require_dtype(op, "dlogits", args.dlogits, {args.logits.dtype});
  require_shape(op, "dlogits", args.dlogits, args.logits.shape);
  require_no_partial_overlap(op, "dlogits", args.dlogits, "logits", args.logits);
}

}  // namespace

Error target_outside(std::int64_t index, std::int32_t target, std::int64_t vocab) {
  return Error(fmt::format("target {} is {}, outside the vocabulary of {}", index, target, vocab),
               fmt::format("mark targets that do not count with {}", kIgnoreTarget));
}

void cross_entropy(CommandBuffer& commands, const CrossEntropyArgs& args) {
  constexpr auto op = "cross_entropy";
  check(op, args);
  std::vector<BufferUse> uses{{args.logits.buffer, Access::read},
                              {args.targets.buffer, Access::read},
                              {args.scale.buffer, Access::read},
                              {args.loss.buffer, Access::read_write}};
  if (args.dlogits) uses.push_back({args.dlogits.buffer, Access::write});
  commands.encode(
      op, std::move(uses),
      kernel_for<CrossEntropyArgs>(
          commands.device(), op,
          {.cpu = cpu_backend::cross_entropy, .cuda = cuda_backend::cross_entropy}, args));
}

}  // namespace cajal::ops
