#include <cmath>
#include <limits>

#include "ops/adamw/backends.h"
#include "ops/cuda_kernel.cuh"

namespace cajal::ops::cuda_backend {
namespace {

/// One step's constants, worked out once.
struct Update {
  bool apply = false;
  float clip_scale = 1.0F;
  float beta1 = 0.0F;
  float beta2 = 0.0F;
  float epsilon = 0.0F;
  float step = 0.0F;        ///< lr / (1 - beta1^t)
  float root_scale = 0.0F;  ///< 1 / sqrt(1 - beta2^t)
  float decay = 0.0F;       ///< lr * weight_decay
};

/// One thread: nobody else may see `state` change.
__global__ void plan_kernel(const float* norm, const AdamWHyper* hyper, AdamWState* state,
                            Update* update) {
  let_next_start();
  const float n = *norm;
  if (!isfinite(n)) {
    ++state->skipped;
    ++state->skipped_in_row;
    update->apply = false;
    return;
  }
  state->skipped_in_row = 0;
  const std::int32_t applied = ++state->applied;
  const AdamWHyper h = *hyper;
  const double correction1 = 1.0 - pow(double{h.beta1}, double(applied));
  const double correction2 = 1.0 - pow(double{h.beta2}, double(applied));
  *update = {.apply = true,
             .clip_scale = h.clip > 0.0F && n > h.clip ? h.clip / n : 1.0F,
             .beta1 = h.beta1,
             .beta2 = h.beta2,
             .epsilon = h.epsilon,
             .step = static_cast<float>(double{h.learning_rate} / correction1),
             .root_scale = static_cast<float>(1.0 / sqrt(correction2)),
             .decay = h.learning_rate * h.weight_decay};
}

struct Arrays {
  float* param;
  const float* grad;
  float* m;
  float* v;
  __nv_bfloat16* compute;
  std::int64_t n;
  std::int64_t decayed;
};

// As on the CPU: what would be subnormal, and a gradient whose square would be, becomes 0.
constexpr float kSmallestMoment = std::numeric_limits<float>::min();
constexpr float kSmallestGradient = 1e-18F;

__device__ float flush(float x, float smallest) { return fabsf(x) < smallest ? 0.0F : x; }

/// To the last bit or two; x is no subnormal.
__device__ float root(float x) {
  float y;
  asm("sqrt.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// Steps one element. Division, too, is to the last bits: memory should be what takes the time.
__device__ void step(const Update& u, float decay, float grad, float& m, float& v, float& param) {
  const float g = flush(grad * u.clip_scale, kSmallestGradient);
  m = flush(u.beta1 * m + (1.0F - u.beta1) * g, kSmallestMoment);
  v = flush(u.beta2 * v + ((1.0F - u.beta2) * g) * g, kSmallestMoment);
  const float direction = __fdividef(m, root(v) * u.root_scale + u.epsilon);
  param -= u.step * direction + decay * param;
}

constexpr int kThreads = 128;
constexpr int kCount = kLanes<float>;
constexpr int kUnroll = 4;  // Packs a thread, so that sixteen loads are in flight.

/// Where a pack lies: `valid` of its elements exist, `decayed` of them decay.
struct Place {
  std::int64_t first;
  std::int64_t valid;
  std::int64_t decayed;
};

__device__ Place place_of(const Arrays& a, int u) {
  const std::int64_t first =
      ((std::int64_t{blockIdx.x} * kUnroll + u) * kThreads + threadIdx.x) * kCount;
  return {first, a.n - first, a.decayed - first};
}

__device__ void step_pack(const Update& u, const Place& place, const Pack<float>& grad,
                          float (&m)[kCount], float (&v)[kCount], float (&param)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    step(u, i < place.decayed ? u.decay : 0.0F, grad.get(i), m[i], v[i], param[i]);
  }
}

/// The last elements, or arrays that are not aligned.
template <bool kHasCompute>
__device__ void step_singly(const Arrays& a, const Update& update, const Place& place) {
  for (int i = 0; i < kCount && i < place.valid; ++i) {
    const std::int64_t at = place.first + i;
    float m = a.m[at];
    float v = a.v[at];
    float param = a.param[at];
    step(update, i < place.decayed ? update.decay : 0.0F, a.grad[at], m, v, param);
    a.m[at] = m;
    a.v[at] = v;
    a.param[at] = param;
    if constexpr (kHasCompute) store_one(a.compute + at, param);
  }
}

/// Loads while the update is being planned, which writes none of the arrays.
template <bool kHasCompute>
__global__ void __launch_bounds__(kThreads)
    update_kernel(const Arrays a, const Update* planned, bool aligned) {
  Pack<float> grad[kUnroll], m[kUnroll], v[kUnroll], param[kUnroll];
#pragma unroll
  for (int u = 0; u < kUnroll; ++u) {
    const Place place = place_of(a, u);
    if (!aligned || place.valid < kCount) continue;
    grad[u] = load_pack<float, kCount, Cached::stream>(a.grad + place.first);
    m[u] = load_pack<float, kCount, Cached::stream>(a.m + place.first);
    v[u] = load_pack<float, kCount, Cached::stream>(a.v + place.first);
    param[u] = load_pack<float, kCount, Cached::stream>(a.param + place.first);
  }
  wait_for_previous();
  const Update update = *planned;
  if (!update.apply) return;
#pragma unroll
  for (int u = 0; u < kUnroll; ++u) {
    const Place place = place_of(a, u);
    if (!aligned || place.valid < kCount) {
      step_singly<kHasCompute>(a, update, place);
      continue;
    }
    float mi[kCount], vi[kCount], pi[kCount];
    m[u].unpack(mi);
    v[u].unpack(vi);
    param[u].unpack(pi);
    step_pack(update, place, grad[u], mi, vi, pi);
    store_pack(a.m + place.first, Pack<float>::of(mi));
    store_pack(a.v + place.first, Pack<float>::of(vi));
    store_pack(a.param + place.first, Pack<float>::of(pi));
    if constexpr (kHasCompute) {
      store_pack(a.compute + place.first, Pack<__nv_bfloat16, kCount>::of(pi));
    }
  }
}

}  // namespace

Kernel adamw(const AdamWArgs& args) {
  return [args](ExecutionContext& context) {
    CudaContext& c = cuda(context);
    const Arrays a{args.param.data<float>(),
                   args.grad.data<float>(),
                   args.m.data<float>(),
                   args.v.data<float>(),
                   args.compute ? args.compute.data<__nv_bfloat16>() : nullptr,
                   args.param.size(),
                   args.decayed};
    auto* update = reinterpret_cast<Update*>(c.scratch(sizeof(Update)).data());
    launch(c, "adamw", plan_kernel, {1, 1}, args.norm.data<float>(), args.hyper.data<AdamWHyper>(),
           args.state.data<AdamWState>(), update);
    launch_after(c, "adamw", args.compute ? update_kernel<true> : update_kernel<false>,
                 {extent(ceil_div(a.n, kThreads * kCount * kUnroll)), kThreads}, a, update,
                 aligned_to_packs(a.param, a.grad, a.m, a.v, a.compute));
  };
}

}  // namespace cajal::ops::cuda_backend
