#include "train/optimizer.h"

#include "ops/adamw/adamw.h"
#include "ops/global_norm/global_norm.h"

namespace cajal::train {
namespace {

constexpr std::int64_t kStateWords = sizeof(ops::AdamWState) / sizeof(std::int32_t);

Tensor allocate(Device& device, const char* label, DType dtype, std::int64_t elements) {
  return {device.allocate(static_cast<std::size_t>(elements) * size_of(dtype), label),
          dtype,
          {elements}};
}

}  // namespace

Optimizer::Optimizer(Device& device, const model::Parameters& parameters)
    : parameters_(&parameters),
      m_(allocate(device, "first moments", DType::f32, parameters.size())),
      v_(allocate(device, "second moments", DType::f32, parameters.size())),
      norm_(allocate(device, "gradient norm", DType::f32, 1)),
      state_(allocate(device, "optimizer state", DType::i32, kStateWords)) {}

void Optimizer::optimizer_step(CommandBuffer& commands, const Tensor& hyper) const {
  ops::global_norm(commands, {.x = parameters_->grad(), .norm = norm_});
  ops::adamw(commands, {.param = parameters_->master(),
                        .grad = parameters_->grad(),
                        .m = m_,
                        .v = v_,
                        .compute = parameters_->compute(),
                        .norm = norm_,
                        .hyper = hyper,
                        .state = state_,
                        .decayed = parameters_->decayed()});
}

std::size_t Optimizer::training_bytes(std::int64_t elements, DType compute_dtype) {
  const std::size_t f32_arenas = 4;  // weights, gradients, two moments
  const std::size_t copy = compute_dtype == DType::f32 ? 0 : size_of(DType::bf16);
  return static_cast<std::size_t>(elements) * (f32_arenas * size_of(DType::f32) + copy);
}

}  // namespace cajal::train
