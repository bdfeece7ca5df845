// A mixing function whose results are part of what a seed means, and so must not change.
#pragma once

#include <cstdint>

namespace cajal::data {

/// The output function of SplitMix64 (Steele et al. 2014).
constexpr std::uint64_t mix64(std::uint64_t value) {
  value += 0x9E3779B97F4A7C15U;
  value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9U;
  value = (value ^ value >> 27) * 0x94D049BB133111EBU;
  return value ^ value >> 31;
}

}  // namespace cajal::data
