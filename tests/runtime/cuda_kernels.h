// Kernels of the CUDA tests, small enough to be followed by hand. Builds without the backend have
// them by name alone: what would run them is skipped.
#pragma once

#include <chrono>
#include <cstdint>

#include "cajal/command_buffer.h"

namespace cajal::test {

/// Every element becomes `value`.
Kernel cuda_sets(const Buffer& to, std::int32_t value);

/// to[i] = to[i] * factor + from[i], wrapping around: does not commute, so that a wrong order
/// shows. Both have the same size.
Kernel cuda_folds(const Buffer& to, const Buffer& from, std::int32_t factor);

/// Reports the last negative element: "element [I] is V, which is negative; be positive".
Kernel cuda_refuses_negatives(const Buffer& values);

/// Writes where no memory is. The process can use the card no more.
Kernel cuda_writes_nowhere();

/// Keeps the device for this long.
Kernel cuda_spins(std::chrono::nanoseconds time);

}  // namespace cajal::test
