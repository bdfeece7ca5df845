// Tensor core instructions on bf16, as their fragments lie in a warp's registers.
//
// With lane = 4 g + t: an accumulator of 16 x 8 holds (g, 2t), (g, 2t + 1), (g + 8, 2t),
// (g + 8, 2t + 1); a left operand of 16 x 16 is two such tiles side by side, in pairs of bf16.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

namespace cajal::ops::cuda_attention {

/// A left operand of 16 x 16.
struct LeftFragment {
  std::uint32_t pair[4];
};

/// sums += left * right, right of 16 x 8 in two registers.
__device__ inline void mma(float (&sums)[4], const LeftFragment& left, std::uint32_t right0,
                           std::uint32_t right1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};\n"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(left.pair[0]), "r"(left.pair[1]), "r"(left.pair[2]), "r"(left.pair[3]), "r"(right0),
        "r"(right1));
}

__device__ inline std::uint32_t shared_address(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

/// Four 8 x 8 matrices; lane i gives the address of row i % 8 of matrix i / 8.
__device__ inline void load_matrices(std::uint32_t (&to)[4], std::uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(address)
               : "memory");
}

/// The same, each matrix transposed.
__device__ inline void load_transposed(std::uint32_t (&to)[4], std::uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(address)
               : "memory");
}

__device__ inline std::uint32_t pack(float low, float high) {
  const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&both);
}

/// Two accumulators side by side as the left operand of the next product.
__device__ inline LeftFragment to_left(const float (&first)[4], const float (&second)[4]) {
  return {{pack(first[0], first[1]), pack(first[2], first[3]), pack(second[0], second[1]),
           pack(second[2], second[3])}};
}

/// 16 bytes to shared memory, or zeros; `from` must be an address of global memory either way.
__device__ inline void copy_async(void* to, const void* from, bool real) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared_address(to)),
               "l"(from), "r"(real ? 16 : 0)
               : "memory");
}

/// The same for 4 bytes.
__device__ inline void copy_word_async(void* to, const void* from, bool real) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;\n" ::"r"(shared_address(to)),
               "l"(from), "r"(real ? 4 : 0)
               : "memory");
}

__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }

/// Waits for this thread's copies but those of the newest `kNewest` groups.
template <int kNewest>
__device__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(kNewest) : "memory");
}

/// Threads of one block that work on tiles of their own, one of kGroups such groups.
template <int kGroups>
class Group {
 public:
  /// Barrier 0 is the whole block's.
  __device__ Group(int index, int threads) : barrier_(index + 1), threads_(threads) {}

  __device__ void sync() const {
    if constexpr (kGroups == 1) {
      __syncthreads();
      return;
    }
    asm volatile("bar.sync %0, %1;\n" ::"r"(barrier_), "r"(threads_) : "memory");
  }

  /// Whether any thread says so.
  __device__ bool sync_or(bool here) const {
    if constexpr (kGroups == 1) return __syncthreads_or(here ? 1 : 0) != 0;
    int any = 0;
    asm volatile(
        "{\n"
        ".reg .pred mine, any;\n"
        "setp.ne.s32 mine, %1, 0;\n"
        "bar.red.or.pred any, %2, %3, mine;\n"
        "selp.s32 %0, 1, 0, any;\n"
        "}\n"
        : "=r"(any)
        : "r"(here ? 1 : 0), "r"(barrier_), "r"(threads_)
        : "memory");
    return any != 0;
  }

 private:
  int barrier_;
  int threads_;
};

}  // namespace cajal::ops::cuda_attention
