#include "runtime/cpu/aligned_memory.h"

#include <algorithm>
#include <new>

namespace cajal {

std::shared_ptr<std::byte> allocate_aligned(std::size_t bytes) {
  void* const memory =
      ::operator new (std::max<std::size_t>(bytes, 1), std::align_val_t{kAlignment}, std::nothrow);
  if (memory == nullptr) return nullptr;
  return {static_cast<std::byte*>(memory),
          [](std::byte* p) { ::operator delete (p, std::align_val_t{kAlignment}); }};
}

}  // namespace cajal
