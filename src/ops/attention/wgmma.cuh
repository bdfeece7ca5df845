// Hopper's asynchronous tensor core products, copies and barriers (PTX ISA 9.7, sm_90a).
//
// A tile is 64 rows of 64 bf16, 128 bytes each, as the copy engine lays them with its swizzle of
// 128 bytes: the 16 bytes of chunk c of row r lie at chunk c ^ (r % 8). Tiles begin at multiples of
// 1024.
#pragma once

#include <cuda.h>

#include <cstdint>

#include "ops/attention/cuda_device.cuh"
#include "ops/attention/mma.cuh"

namespace cajal::ops::cuda_attention {

inline constexpr int kTileSide = 64;
inline constexpr int kTileRowBytes = kTileSide * 2;
inline constexpr int kWgmmaTileBytes = kTileSide * kTileRowBytes;
inline constexpr int kWarpgroup = 128;

/// The same in all lanes, known to the compiler as such: what products' addresses are made of. Else
/// every product waits until theirs have been copied into the registers that it takes them from.
template <class T>
__device__ T uniform(T x) {
  return __shfl_sync(kAllLanes, x, 0);
}

// Barriers in shared memory: the phase ends when all have arrived and all announced bytes are
// there.

__device__ inline void init_barrier(std::uint32_t barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

/// Makes initialised barriers known to the copy engine.
__device__ inline void publish_barriers() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ inline void arrive(std::uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

__device__ inline void arrive_expecting(std::uint32_t barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}

/// Until the phase of this parity is over.
__device__ inline void wait_phase(std::uint32_t barrier, unsigned parity) {
  asm volatile(
      "{\n"
      ".reg .pred over;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 over, [%0], %1;\n"
      "@!over bra again;\n"
      "}\n" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

// Registers of a thread, by whole warpgroups: some give what others take.

template <int kRegisters>
__device__ void keep_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// The copy engine; arrives at `barrier` byte by byte.

/// The tile at (column, row) of a matrix.
__device__ inline void fetch_tile(std::uint32_t to, const CUtensorMap& from, int column, int row,
                                  std::uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, "
      "%3}], [%4];" ::"r"(to),
      "l"(&from), "r"(column), "r"(row), "r"(barrier)
      : "memory");
}

/// Both addresses and the size are multiples of 16.
__device__ inline void fetch_bytes(std::uint32_t to, const void* from, int bytes,
                                   std::uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, "
      "[%3];" ::"r"(to),
      "l"(from), "r"(bytes), "r"(barrier)
      : "memory");
}

// Products. A warpgroup's accumulators are four times mma.cuh's side by side for each of its warps,
// 16 rows a warp. They, and left operands in registers, are untouchable until wait_products.

/// Accumulators of 64 x 64.
struct Accumulators {
  float at[32];

  __device__ void clear() {
#pragma unroll
    for (float& x : at) x = 0.0F;
    settle();
  }
  /// Reads after this are not moved before it.
  __device__ void settle() {
#pragma unroll
    for (float& x : at) asm volatile("" : "+f"(x)::"memory");
  }
};

/// What is written before this is in registers before products begin.
__device__ inline void settle(LeftFragment (&left)[4]) {
#pragma unroll
  for (LeftFragment& step : left) {
#pragma unroll
    for (std::uint32_t& pair : step.pair) asm volatile("" : "+r"(pair)::"memory");
  }
}

/// How an operand lies: `along` has the summed dimension in its rows, `across` row by row.
enum class Summed : int { along = 0, across = 1 };

/// A step of a tile: 16 of the elements summed over. In units of 16 bytes; the upper half says how
/// far eight rows lie apart and how they are swizzled.
template <Summed kSummed>
__device__ std::uint64_t operand(std::uint32_t tile, int step) {
  constexpr std::uint32_t kSwizzle128 = 1U << 30;
  constexpr std::uint32_t kEightRows = 8 * kTileRowBytes / 16;
  constexpr std::uint32_t kUnused = 1U << 16;
  constexpr std::uint32_t kStep = (kSummed == Summed::along ? 16 * 2 : 16 * kTileRowBytes) / 16;
  const std::uint32_t low = (tile / 16 | kUnused) + static_cast<std::uint32_t>(step) * kStep;
  return std::uint64_t{kSwizzle128 | kEightRows} << 32 | low;
}

__device__ inline void begin_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void commit_products() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/// All but the newest `kNewest` groups are done.
template <int kNewest>
__device__ void wait_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kNewest) : "memory");
}

// sums = left * right, or += with `add`; left of 64 x 16, right of 16 x 64. A left operand that
// stays the same from product to product belongs in shared memory: ptxas 13.0 gives its registers
// away.

#define CAJAL_WGMMA_SUMS(d)                                                                       \
  "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), \
      "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]),    \
      "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]),  \
      "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]),  \
      "+f"(d[29]), "+f"(d[30]), "+f"(d[31])

#define CAJAL_WGMMA_TEXT                                                                        \
  "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "                                       \
  "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24," \
  "%25,%26,%27,%28,%29,%30,%31}, "

template <Summed kSummed>
__device__ void product_async(Accumulators& sums, const LeftFragment& left, std::uint64_t right,
                              bool add) {
  float(&d)[32] = sums.at;
  asm volatile(
      "{\n"
      ".reg .pred add;\n"
      "setp.ne.b32 add, %37, 0;\n" CAJAL_WGMMA_TEXT
      "{%32,%33,%34,%35}, %36, add, 1, 1, %38;\n"
      "}\n"
      : CAJAL_WGMMA_SUMS(d)
      : "r"(left.pair[0]), "r"(left.pair[1]), "r"(left.pair[2]), "r"(left.pair[3]), "l"(right),
        "r"(add ? 1 : 0), "n"(static_cast<int>(kSummed)));
}

/// Both by the addresses of operand(), summed along their rows.
__device__ inline void product_async(Accumulators& sums, std::uint64_t left, std::uint64_t right,
                                     bool add) {
  float(&d)[32] = sums.at;
  asm volatile(
      "{\n"
      ".reg .pred add;\n"
      "setp.ne.b32 add, %34, 0;\n" CAJAL_WGMMA_TEXT
      "%32, %33, add, 1, 1, 0, 0;\n"
      "}\n"
      : CAJAL_WGMMA_SUMS(d)
      : "l"(left), "l"(right), "r"(add ? 1 : 0));
}

#undef CAJAL_WGMMA_SUMS
#undef CAJAL_WGMMA_TEXT

/// sums += left * right, tiles both, right summed across; one group of its own.
__device__ inline void add_product(Accumulators& sums, const LeftFragment (&left)[4],
                                   std::uint32_t right) {
#pragma unroll
  for (int step = 0; step < 4; ++step) {
    product_async<Summed::across>(sums, left[step], operand<Summed::across>(right, step), true);
  }
  commit_products();
}

/// sums = left * right', tiles both; one group of its own.
__device__ inline void set_product(Accumulators& sums, std::uint32_t left, std::uint32_t right) {
#pragma unroll
  for (int step = 0; step < 4; ++step) {
    product_async(sums, operand<Summed::along>(left, step), operand<Summed::along>(right, step),
                  step > 0);
  }
  commit_products();
}

/// Among four neighbouring lanes: lane l's word i becomes lane i's word l.
__device__ inline void turn_around(std::uint32_t (&words)[4]) {
#pragma unroll
  for (unsigned bit = 1; bit < 4; bit *= 2) {
    const bool upper = (threadIdx.x & bit) != 0;
#pragma unroll
    for (unsigned i = 0; i < 4; ++i) {
      if ((i & bit) != 0) continue;
      const std::uint32_t given = upper ? words[i] : words[i | bit];
      const std::uint32_t taken = __shfl_xor_sync(kAllLanes, given, static_cast<int>(bit));
      (upper ? words[i] : words[i | bit]) = taken;
    }
  }
}

/// Accumulators, rounded, as the left operand of the next product.
__device__ inline void to_left(LeftFragment (&to)[4], const Accumulators& from) {
#pragma unroll
  for (int step = 0; step < 4; ++step) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      to[step].pair[i] = pack(from.at[step * 8 + i * 2], from.at[step * 8 + i * 2 + 1]);
    }
  }
  settle(to);
}

}  // namespace cajal::ops::cuda_attention
