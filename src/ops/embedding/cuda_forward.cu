#include "ops/cuda_kernel.cuh"
#include "ops/embedding/backends.h"

namespace cajal::ops::cuda_backend {
namespace {

template <class W, class X>
struct Forward {
  const std::int32_t* tokens;
  const std::int32_t* position;  ///< Null: 0.
  const W* __restrict__ wte;
  const W* __restrict__ wpe;
  X* __restrict__ x;
  std::int64_t count;  ///< Of tokens.
  std::int64_t length;
  std::int64_t vocab;
  std::int64_t positions;
  int width;
  bool packed;  ///< Rows are whole packs, aligned.
  KernelFault token_fault;
  KernelFault position_fault;
};

constexpr int kRowsPerBlock = 4;  // A warp each.

template <class W, class X>
__device__ void add_row(const Forward<W, X>& a, const W* token, const W* place, X* row, int lane) {
  constexpr int kCount = std::max(kLanes<W>, kLanes<X>);
#pragma unroll 4
  for (int column = lane * kCount; column < a.width; column += kWarp * kCount) {
    float sum[kCount];
    float of_place[kCount];
    load_some(token + column, a.width - column, a.packed, sum);
    load_some(place + column, a.width - column, a.packed, of_place);
#pragma unroll
    for (int i = 0; i < kCount; ++i) sum[i] += of_place[i];
    store_some(row + column, a.width - column, a.packed, sum);
  }
}

template <class W, class X>
__global__ void __launch_bounds__(kRowsPerBlock* kWarp) forward_kernel(const Forward<W, X> a) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const std::int64_t n = std::int64_t{blockIdx.x} * kRowsPerBlock + threadIdx.x / kWarp;
  if (n >= a.count) return;
  const std::int32_t id = a.tokens[n];
  const std::int32_t position = a.position == nullptr ? 0 : *a.position;
  if (id < 0 || id >= a.vocab) {
    if (lane == 0) raise_fault(a.token_fault, n, id);
    return;
  }
  if (position < 0 || position + a.length > a.positions) {
    if (lane == 0 && n == 0) raise_fault(a.position_fault, 0, position);
    return;
  }
  add_row(a, a.wte + id * std::int64_t{a.width}, a.wpe + (position + n % a.length) * a.width,
          a.x + n * a.width, lane);
}

template <class W, class X>
void run(CudaContext& context, const EmbeddingArgs& args) {
  const std::int64_t length = args.tokens.dim(1);
  const std::int64_t vocab = args.wte.dim(0);
  const std::int64_t positions = args.wpe.dim(0);
  const auto width = static_cast<int>(args.x.dim(-1));
  Forward<W, X> a{.tokens = args.tokens.data<std::int32_t>(),
                  .position = args.position ? args.position.data<std::int32_t>() : nullptr,
                  .wte = args.wte.data<W>(),
                  .wpe = args.wpe.data<W>(),
                  .x = args.x.data<X>(),
                  .count = args.tokens.size(),
                  .length = length,
                  .vocab = vocab,
                  .positions = positions,
                  .width = width,
                  .packed = width % std::max(kLanes<W>, kLanes<X>) == 0,
                  .token_fault = {},
                  .position_fault = {}};
  a.packed = a.packed && aligned_to_packs(a.wte, a.wpe, a.x);
  a.token_fault = context.fault_slot([=](std::int64_t index, std::int32_t id) {
    return std::string(token_outside(index, length, id, vocab).what());
  });
  a.position_fault = context.fault_slot([=](std::int64_t, std::int32_t position) {
    return std::string(positions_outside(position, length, positions).what());
  });
  launch(context, "embedding", forward_kernel<W, X>,
         {extent(ceil_div(a.count, kRowsPerBlock)), kRowsPerBlock * kWarp}, a);
}

template <class W>
void run(CudaContext& context, const EmbeddingArgs& args) {
  args.x.dtype == DType::f32 ? run<W, float>(context, args) : run<W, __nv_bfloat16>(context, args);
}

}  // namespace

Kernel embedding(const EmbeddingArgs& args) {
  return [args](ExecutionContext& context) {
    args.wte.dtype == DType::f32 ? run<float>(cuda(context), args)
                                 : run<__nv_bfloat16>(cuda(context), args);
  };
}

}  // namespace cajal::ops::cuda_backend
