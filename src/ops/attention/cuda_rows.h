// Tensors of attention's contract as the rows that kernels take.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "cajal/tensor.h"
#include "ops/attention/cuda_problem.h"

namespace cajal::ops::cuda_attention {

inline Sizes sizes_of(const Tensor& qkv, int heads) {
  return {.heads = qkv.dim(0) * heads,
          .heads_a_sequence = heads,
          .tokens = static_cast<int>(qkv.dim(1)),
          .width = static_cast<int>(qkv.dim(2) / 3) / heads};
}

/// A tensor [batch, tokens, channels].
template <class T>
HeadRows<T> rows_of(const Tensor& tensor) {
  return {tensor.data<T>(), tensor.dim(1) * tensor.dim(2), tensor.dim(2)};
}

/// Part 0, 1 or 2, queries, keys or values, of a tensor [batch, tokens, 3 * channels].
template <class T>
HeadRows<T> part_of(const Tensor& qkv, int part) {
  return {qkv.data<T>() + part * (qkv.dim(2) / 3), qkv.dim(1) * qkv.dim(2), qkv.dim(2)};
}

/// Whether every row of a head starts at a multiple of 16 bytes.
template <class T>
bool in_vectors(const Sizes& sizes, std::initializer_list<Tensor> tensors) {
  constexpr std::size_t kVector = 16;
  bool all = static_cast<std::size_t>(sizes.width) * sizeof(T) % kVector == 0;
  for (const Tensor& tensor : tensors) {
    all = all && reinterpret_cast<std::uintptr_t>(tensor.data<std::byte>()) % kVector == 0;
  }
  return all;
}

}  // namespace cajal::ops::cuda_attention
