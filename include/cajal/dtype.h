// Element types of tensors.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace cajal {

/// fp8 names a way to compute, not to store: products in e4m3 and e5m2 between tensors of bf16.
enum class DType : std::uint8_t { f32, bf16, i32, fp8 };

/// Bytes of one element.
constexpr std::size_t size_of(DType dtype) {
  if (dtype == DType::fp8) return 1;
  return dtype == DType::bf16 ? 2 : 4;
}

/// "fp32", "bf16", "int32" or "fp8": the spelling of the command line.
std::string_view name_of(DType dtype);

/// Brain floating point: the upper half of an IEEE float32, rounded to nearest even.
struct bfloat16 {
  std::uint16_t bits = 0;

  bfloat16() = default;
  explicit bfloat16(float value) {
    const auto u = std::bit_cast<std::uint32_t>(value);
    const bool nan = (u & 0x7fffffffU) > 0x7f800000U;
    // Rounding must not carry a NaN's payload into infinity.
    bits = static_cast<std::uint16_t>(nan ? (u >> 16) | 0x40U
                                          : (u + 0x7fffU + ((u >> 16) & 1U)) >> 16);
  }
  explicit operator float() const {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  }
};

}  // namespace cajal
