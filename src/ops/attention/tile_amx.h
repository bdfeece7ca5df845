// Products of bf16 blocks by AMX tiles. Included only where the target has them.
#pragma once

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>

#include "ops/attention/bf16_operands.h"
#include "ops/attention/product.h"

namespace cajal::ops::attention_kernels {

/// m, n and k are multiples of 32.
struct TileAmx : Bf16Operands {
  /// Linux hands out the tiles' eight kilobytes of state only on request, once a process.
  static bool available() {
    constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
    constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
    static const bool granted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
    return granted;
  }

  /// Configures the thread's tiles, whatever a library left there, and gives them back.
  class Session {
   public:
    Session() {
      struct alignas(64) Configuration {
        std::uint8_t palette = 1;
        std::uint8_t start_row = 0;
        std::array<std::uint8_t, 14> reserved{};
        std::array<std::uint16_t, 16> bytes_a_row{64, 64, 64, 64, 64, 64, 64, 64};
        std::array<std::uint8_t, 16> rows{16, 16, 16, 16, 16, 16, 16, 16};
      };
      const Configuration configuration;
      _tile_loadconfig(&configuration);
    }
    ~Session() { _tile_release(); }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
  };

  template <bool kAccumulate>
  static void multiply(const Product<bfloat16>& p) {
    // g++ does not know that tile loads read memory: stores above must not sink below them.
    asm volatile("" ::: "memory");
    for (int j = 0; j < p.n; j += 32) {
      for (int i = 0; i < p.m; i += 32) tile<kAccumulate>(p, i, j);
    }
  }

 private:
  /// 32 x 32 of C in four tiles: each tile of A and B that is loaded is used twice.
  template <bool kAccumulate>
  static void tile(const Product<bfloat16>& p, int i, int j) {
    const std::int64_t a_bytes = std::int64_t{2} * p.a_stride;
    const std::int64_t b_bytes = std::int64_t{4} * p.b_stride;
    const std::int64_t c_bytes = std::int64_t{4} * p.c_stride;
    float* c00 = p.c + std::int64_t{i} * p.c_stride + j;
    float* c10 = c00 + std::int64_t{16} * p.c_stride;
    if constexpr (kAccumulate) {
      _tile_loadd(0, c00, c_bytes);
      _tile_loadd(1, c00 + 16, c_bytes);
      _tile_loadd(2, c10, c_bytes);
      _tile_loadd(3, c10 + 16, c_bytes);
    } else {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
    }
    const bfloat16* a = p.a + std::int64_t{i} * p.a_stride;
    const bfloat16* b = p.b + std::int64_t{2} * j;
    for (int d = 0; d < p.k; d += 32) {
      _tile_loadd(4, a + d, a_bytes);
      _tile_loadd(6, b, b_bytes);
      _tile_dpbf16ps(0, 4, 6);
      _tile_loadd(7, b + 32, b_bytes);
      _tile_dpbf16ps(1, 4, 7);
      _tile_loadd(5, a + d + std::int64_t{16} * p.a_stride, a_bytes);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
      b += std::int64_t{32} * p.b_stride;
    }
    _tile_stored(0, c00, c_bytes);
    _tile_stored(1, c00 + 16, c_bytes);
    _tile_stored(2, c10, c_bytes);
    _tile_stored(3, c10 + 16, c_bytes);
  }
};

}  // namespace cajal::ops::attention_kernels
