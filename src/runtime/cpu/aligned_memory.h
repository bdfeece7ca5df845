// Host memory as kernels want it.
#pragma once

#include <cstddef>
#include <memory>

namespace cajal {

inline constexpr std::size_t kAlignment = 64;  ///< A cache line, and the widest vector.

/// Uninitialised bytes, or null when there are none left.
std::shared_ptr<std::byte> allocate_aligned(std::size_t bytes);

}  // namespace cajal
