// What a block does: two warpgroups compute, one warp copies.
#pragma once

#include "ops/attention/wgmma_backward_copies.cuh"
#include "ops/attention/wgmma_backward_gradients.cuh"
#include "ops/cuda_kernel.cuh"

namespace cajal::ops::cuda_attention::wgmma {

__device__ inline void begin_barriers(const Memory& memory) {
  constexpr int kWarps = kGroups * 4;
  for (int place = 0; place < kItems; ++place) {
    init_barrier(memory.own_full(place), 1);
    init_barrier(memory.own_empty(place), kWarps);
  }
  for (int stage = 0; stage < kStages; ++stage) {
    init_barrier(memory.full(stage), 1);
    init_barrier(memory.empty(stage), kWarps);
  }
  publish_barriers();
}

__device__ inline void work(const Arguments& a) {
  extern __shared__ char raw[];
  const Memory memory(raw);
  if (threadIdx.x == 0) begin_barriers(memory);
  __syncthreads();
  cuda_backend::wait_for_previous();
  if (threadIdx.x < kGroups * kWarpgroup) {
    take_registers<232>();
    Gradients(a, memory).run();
  } else {
    keep_registers<40>();
    if (threadIdx.x == kGroups * kWarpgroup) Copies(a, memory).run();
  }
}

}  // namespace cajal::ops::cuda_attention::wgmma
