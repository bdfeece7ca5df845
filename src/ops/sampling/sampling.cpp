#include "ops/sampling/sampling.h"

#include <fmt/format.h>

#include <cmath>

#include "ops/check.h"
#include "ops/dispatch.h"
#include "ops/sampling/backends.h"

namespace cajal::ops {
namespace {

constexpr auto kOp = "sample";

void check_options(const SamplingOptions& options) {
  require(std::isfinite(options.temperature) && options.temperature >= 0.0F, kOp,
          "temperature must be finite and at least 0");
  require(options.top_k >= 0, kOp, "top_k must be at least 0");
  require(options.top_p > 0.0F && options.top_p <= 1.0F, kOp, "top_p must lie in (0,1]");
}

void check_integers(std::string_view name, const Tensor& tensor, const Shape& shape) {
  require_dtype(kOp, name, tensor, {DType::i32});
  require_shape(kOp, name, tensor, shape);
}

}  // namespace

Error undrawable(std::int64_t row, std::int64_t nan_at) {
  return Error(nan_at >= 0 ? fmt::format("logit [{},{}] is NaN", row, nan_at)
                           : fmt::format("the largest logit of row {} is not finite", row),
               "the weights are damaged: go back to an earlier checkpoint");
}

void sample(CommandBuffer& commands, const SamplingArgs& args) {
  check_options(args.options);
  require_dtype(kOp, "logits", args.logits, {DType::f32, DType::bf16});
  require(args.logits.shape.size() == 2, kOp, "logits must have shape [B,Vpadded]");
  require(args.vocab >= 1 && args.vocab <= args.logits.dim(1), kOp,
          "vocab must lie in [1, columns of logits]");
  check_integers("seed", args.seed, {2});
  check_integers("position", args.position, {1});
  check_integers("token", args.token, {args.logits.dim(0)});
  std::vector<BufferUse> uses{{args.logits.buffer, Access::read},
                              {args.seed.buffer, Access::read},
                              {args.position.buffer, Access::read},
                              {args.token.buffer, Access::write}};
  if (args.next_position) {
    check_integers("next_position", args.next_position, {1});
    uses.push_back({args.next_position.buffer, Access::write});
  }
  commands.encode(
      kOp, std::move(uses),
      kernel_for<SamplingArgs>(commands.device(), kOp,
                               {.cpu = cpu_backend::sample, .cuda = cuda_backend::sample}, args));
}

}  // namespace cajal::ops
