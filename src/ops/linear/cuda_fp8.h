// Operands of fp8 products: bf16 matrices scaled to the format's range, a scale a tensor.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/linear/cuda_epilogue.h"

namespace cajal::ops {

/// Micikevicius et al., "FP8 formats for deep learning", 2022.
enum class Fp8Format : std::uint8_t {
  e4m3,  ///< Largest 448: activations and weights.
  e5m2,  ///< Largest 57344: gradients, which need range more than precision.
};

/// An operand in scratch memory.
struct Fp8Operand {
  std::byte* data = nullptr;  ///< rows * columns bytes.
  float* scale = nullptr;     ///< What a stored value is multiplied by; then, in the next
                              ///< word, the bits of the largest magnitude.
};
inline constexpr std::size_t kFp8ScaleBytes = 256;

/// Bytes of an operand in scratch, its scale included.
std::size_t fp8_operand_bytes(const CudaMatrix& x);

/// The operand at `room`, which holds fp8_operand_bytes(x).
Fp8Operand place_fp8(std::byte* room);

/// to = x / scale with scale = max |x| / largest of the format, found in a pass of its own: nothing
/// is carried from step to step, so a resumed run computes the same bits. `transposed` writes
/// [columns, rows]. x is bf16, rows and columns multiples of 16.
void quantize_fp8(CudaContext& context, const CudaMatrix& x, Fp8Format format, bool transposed,
                  const Fp8Operand& to);

}  // namespace cajal::ops
