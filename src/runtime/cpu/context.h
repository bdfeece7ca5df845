// What the CPU device hands its kernels.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "runtime/backend.h"

namespace cajal {

/// One per queue, used on its thread only. Inside a kernel an OpenMP parallel region gets `threads`
/// threads. Work must be cut the same way for the same thread count, so that results repeat.
class CpuContext final : public ExecutionContext {
 public:
  explicit CpuContext(int threads);

  int threads() const { return threads_; }

  /// Scratch for the current kernel, 64-byte aligned, uninitialised; grown, never shrunk. The next
  /// call of scratch() in the same kernel returns the same bytes.
  std::span<std::byte> scratch(std::size_t bytes);

  /// An object that kernels build once and keep, such as a library's compiled primitive.
  template <class T, class Make>
  T& cached(const std::string& key, Make&& make) {
    auto& slot = cache_[key];
    if (!slot) slot = std::make_shared<T>(make());
    return *std::static_pointer_cast<T>(slot);
  }

 private:
  int threads_;
  std::shared_ptr<std::byte> scratch_;
  std::size_t scratch_bytes_ = 0;
  std::map<std::string, std::shared_ptr<void>> cache_;
};

inline CpuContext& cpu(ExecutionContext& context) { return static_cast<CpuContext&>(context); }

}  // namespace cajal
