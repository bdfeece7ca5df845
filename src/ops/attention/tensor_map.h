// Matrices as Hopper's copy engine takes them.
#pragma once

#include <cuda.h>
#include <cuda_bf16.h>

#include <cstdint>

namespace cajal::ops::cuda_attention {

/// Tiles of 64 x 64 with a swizzle of 128 bytes (wgmma.cuh) of a row-major matrix, at a multiple of
/// 16 bytes and with rows of such a multiple. Throws Error.
CUtensorMap tile_map(const __nv_bfloat16* matrix, std::int64_t rows, std::int64_t columns);

}  // namespace cajal::ops::cuda_attention
