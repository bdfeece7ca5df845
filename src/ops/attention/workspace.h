// Hands out aligned pieces of one thread's scratch memory.
#pragma once

#include <cstddef>

namespace cajal::ops::attention_kernels {

/// Constructed on nothing it only measures, so that the size wanted and the pieces taken come from
/// the same lines of code.
class Workspace {
 public:
  explicit Workspace(std::byte* base = nullptr) : base_(base) {}

  template <class T>
  T* take(std::size_t count) {
    constexpr std::size_t kAlignment = 64;
    std::byte* piece = base_ == nullptr ? nullptr : base_ + bytes_;
    bytes_ += (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    return reinterpret_cast<T*>(piece);
  }

  std::size_t bytes() const { return bytes_; }

 private:
  std::byte* base_;
  std::size_t bytes_ = 0;
};

}  // namespace cajal::ops::attention_kernels
