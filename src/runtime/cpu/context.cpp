#include "runtime/cpu/context.h"

#include <fmt/format.h>

#include <bit>

#include "cajal/error.h"
#include "runtime/cpu/aligned_memory.h"

namespace cajal {

CpuContext::CpuContext(int threads) : threads_(threads) {}

std::span<std::byte> CpuContext::scratch(std::size_t bytes) {
  if (bytes > scratch_bytes_) {
    scratch_.reset();
    scratch_bytes_ = 0;
    const std::size_t capacity = std::bit_ceil(bytes);
    scratch_ = allocate_aligned(capacity);
    if (!scratch_)
      throw Error(fmt::format("no memory for {} bytes of scratch", bytes),
                  "use a smaller batch, sequence or model");
    scratch_bytes_ = capacity;
  }
  return {scratch_.get(), bytes};
}

}  // namespace cajal
