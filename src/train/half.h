// IEEE's float16, as files hold it; no device computes in it here.
#pragma once

#include <bit>
#include <cstdint>

namespace cajal::train {

/// The value of a float16's bits, which float32 holds exactly.
inline float half_to_float(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000U) << 16;
  const std::uint32_t exponent = bits & 0x7c00U;
  const std::uint32_t fraction = bits & 0x03ffU;
  if (exponent == 0) {
    const float size = static_cast<float>(fraction) * 0x1p-24F;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(size));
  }
  // The exponent's bias goes from 15 to 127; that of infinity and NaN from 31 to 255.
  const std::uint32_t bias = exponent == 0x7c00U ? 224U : 112U;
  return std::bit_cast<float>(sign | (((bits & 0x7fffU) << 13) + (bias << 23)));
}

}  // namespace cajal::train
