// Which products the target multiplies fastest.
#pragma once

#include "cajal/dtype.h"
#include "ops/attention/tile_f32.h"

#if defined(__AMX_BF16__)
#include "ops/attention/tile_amx.h"
#elif defined(__AVX512BF16__)
#include "ops/attention/tile_avx512bf16.h"
#endif

namespace cajal::ops::attention_kernels {

/// Calls run.operator()<Storage, Tile>() for tensors of this type.
///
/// Without bf16 products, blocks of bf16 are widened to f32 as they are packed. Processors that
/// have AMX are slower at AVX512-BF16 products than at f32 ones, so where the system withholds the
/// tiles they widen too.
template <class Run>
void with_tile(DType dtype, Run&& run) {
  if (dtype == DType::f32) return run.template operator()<float, TileF32>();
#if defined(__AMX_BF16__)
  if (TileAmx::available()) return run.template operator()<bfloat16, TileAmx>();
  run.template operator()<bfloat16, TileF32>();
#elif defined(__AVX512BF16__)
  run.template operator()<bfloat16, TileAvx512Bf16>();
#else
  run.template operator()<bfloat16, TileF32>();
#endif
}

}  // namespace cajal::ops::attention_kernels
