#include <cmath>
#include <limits>

#include "ops/adamw/backends.h"
#include "ops/cpu_parallel.h"
#include "ops/vector_math.h"

namespace cajal::ops::cpu_backend {
namespace {

/// One step's constants, worked out once.
struct Update {
  float clip_scale = 1.0F;
  float beta1 = 0.0F;
  float beta2 = 0.0F;
  float epsilon = 0.0F;
  float step = 0.0F;        ///< lr / (1 - beta1^t)
  float root_scale = 0.0F;  ///< 1 / sqrt(1 - beta2^t)
  float decay = 0.0F;       ///< lr * weight_decay
};

Update plan_update(const AdamWHyper& hyper, std::int32_t applied, float norm) {
  const double correction1 = 1.0 - std::pow(double{hyper.beta1}, applied);
  const double correction2 = 1.0 - std::pow(double{hyper.beta2}, applied);
  return {
      .clip_scale = hyper.clip > 0.0F && norm > hyper.clip ? hyper.clip / norm : 1.0F,
      .beta1 = hyper.beta1,
      .beta2 = hyper.beta2,
      .epsilon = hyper.epsilon,
      .step = static_cast<float>(hyper.learning_rate / correction1),
      .root_scale = static_cast<float>(1.0 / std::sqrt(correction2)),
      .decay = hyper.learning_rate * hyper.weight_decay,
  };
}

// The moments of a weight that has no gradient shrink until they are subnormal, and arithmetic on
// subnormals is a hundred times slower. They become 0 instead, as does a gradient whose square
// would be one: beside epsilon none of them counts.
constexpr float kSmallestMoment = std::numeric_limits<float>::min();
constexpr float kSmallestGradient = 1e-18F;

[[gnu::always_inline]] inline float flush(float x, float smallest) {
  return std::fabs(x) < smallest ? 0.0F : x;
}

struct Arrays {
  float* param;
  const float* grad;
  float* m;
  float* v;
  bfloat16* compute;
};

template <bool kHasCompute>
void update_range(const Arrays& arrays, const Update& u, float decay, std::int64_t first,
                  std::int64_t last) {
  float* param = arrays.param;
  const float* grad = arrays.grad;
  float* m = arrays.m;
  float* v = arrays.v;
  [[maybe_unused]] bfloat16* compute = arrays.compute;
  const Update c = u;
#pragma omp simd
  for (std::int64_t i = first; i < last; ++i) {
    const float g = flush(grad[i] * c.clip_scale, kSmallestGradient);
    const float mi = flush(c.beta1 * m[i] + (1.0F - c.beta1) * g, kSmallestMoment);
    const float vi = flush(c.beta2 * v[i] + ((1.0F - c.beta2) * g) * g, kSmallestMoment);
    const float direction = mi / (std::sqrt(vi) * c.root_scale + c.epsilon);
    const float p = param[i] - (c.step * direction + decay * param[i]);
    m[i] = mi;
    v[i] = vi;
    param[i] = p;
    if constexpr (kHasCompute) store(compute[i], p);
  }
}

template <bool kHasCompute>
void update_all(CpuContext& context, const AdamWArgs& args, const Update& u) {
  const Arrays arrays{args.param.data<float>(), args.grad.data<float>(), args.m.data<float>(),
                      args.v.data<float>(), kHasCompute ? args.compute.data<bfloat16>() : nullptr};
  parallel_chunks(context, args.param.size(), kGrain,
                  [&](std::int64_t, std::int64_t first, std::int64_t last) {
                    const std::int64_t border = std::clamp(args.decayed, first, last);
                    update_range<kHasCompute>(arrays, u, u.decay, first, border);
                    update_range<kHasCompute>(arrays, u, 0.0F, border, last);
                  });
}

}  // namespace

Kernel adamw(const AdamWArgs& args) {
  return [args](ExecutionContext& context) {
    auto& state = *args.state.data<AdamWState>();
    const float norm = *args.norm.data<float>();
    if (!std::isfinite(norm)) {
      ++state.skipped;
      ++state.skipped_in_row;
      return;
    }
    ++state.applied;
    state.skipped_in_row = 0;
    const Update update = plan_update(*args.hyper.data<AdamWHyper>(), state.applied, norm);
    if (args.compute) {
      update_all<true>(cpu(context), args, update);
    } else {
      update_all<false>(cpu(context), args, update);
    }
  };
}

}  // namespace cajal::ops::cpu_backend
