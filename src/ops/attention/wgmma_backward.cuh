// The gradient of attention on Hopper's asynchronous tensor cores: heads 64 wide, whole tiles.
//
// Work comes in items: 128 rows of keys, or of queries, of one head, 64 for each of two warpgroups.
// They stay while the tiles of the other side pass by, so every sum belongs to one thread and is
// added up in one order. Both roles compute the probabilities and their gradients, which costs two
// products in seven and saves a matrix of them in memory. One warp copies ahead, across items; the
// warpgroups take what has come and are otherwise on their own.
#pragma once

#include "ops/attention/wgmma.cuh"

namespace cajal::ops::cuda_attention::wgmma {

using Bf16 = __nv_bfloat16;

inline constexpr int kGroups = 2;  ///< Warpgroups that compute.
inline constexpr int kItemRows = kGroups * kTileSide;
inline constexpr int kThreads = (kGroups + 1) * kWarpgroup;
inline constexpr int kStages = 5;
inline constexpr int kItems = 2;  ///< Whose own rows are there: one in work, one to come.
/// Heads whose items are worked on together, the largest items first: their tiles stay in the
/// cache.
inline constexpr int kHeadsTogether = 32;

/// What a query brings to its probabilities, exp(s scale - lse), and to their gradients,
/// p (dp - delta).
struct RowNumbers {
  float lse_log2;  ///< In units of log 2.
  float delta;     ///< dout . out
};

/// Columns and rows in the matrices [batch * tokens, channels] behind the tensors.
struct Arguments {
  CUtensorMap qkv;
  CUtensorMap dout;
  const RowNumbers* numbers;  ///< [heads][tokens]
  unsigned* taken;            ///< Items that somebody works on.
  Bf16* dq;
  Bf16* dk;
  Bf16* dv;
  std::int64_t gradient_stride;  ///< Of a token in all three.
  int heads;                     ///< Over the batch.
  int heads_a_sequence;
  int tokens;
  int k_column;
  int v_column;
  float scale;
};

enum class Role : int { keys, queries };

struct Item {
  Role role;
  int head;
  int block;  ///< kItemRows of the role's rows.
  int first;  ///< Tiles of the other side.
  int last;

  /// This warpgroup's tile of the role's rows.
  __device__ int own_tile(int group) const { return block * kGroups + group; }
};

__device__ inline int tiles_of(const Arguments& a) { return a.tokens / kTileSide; }
__host__ __device__ inline int blocks_of(const Arguments& a) {
  return (a.tokens + kItemRows - 1) / kItemRows;
}
__host__ __device__ inline unsigned item_count(const Arguments& a) {
  return static_cast<unsigned>(a.heads) * 2U * static_cast<unsigned>(blocks_of(a));
}

__device__ inline Item item_at(const Arguments& a, unsigned index) {
  const int blocks = blocks_of(a);
  const int whole = kHeadsTogether * 2 * blocks;
  const int part = static_cast<int>(index) / whole;
  const int left = a.heads - part * kHeadsTogether;
  const int heads = left < kHeadsTogether ? left : kHeadsTogether;
  const int within = static_cast<int>(index) % whole;
  const int size = within / heads;  // The largest first: keys before queries of as many tiles.
  Item item{};
  item.role = size % 2 == 0 ? Role::keys : Role::queries;
  item.head = part * kHeadsTogether + within % heads;
  if (item.role == Role::keys) {
    item.block = size / 2;
    item.first = item.own_tile(0);
    item.last = tiles_of(a) - 1;
  } else {
    item.block = blocks - 1 - size / 2;
    item.first = 0;
    item.last = min(item.own_tile(kGroups - 1), tiles_of(a) - 1);
  }
  return item;
}

/// Shared memory, by address.
struct Memory {
  static constexpr int kOwnBytes = 2 * kGroups * kWgmmaTileBytes;
  static constexpr int kStageBytes = 2 * kWgmmaTileBytes;
  static constexpr int kNumbersBytes = kTileSide * static_cast<int>(sizeof(RowNumbers));
  static constexpr int kBarriers = 2 * (kItems + kStages);
  static constexpr int kFirstStage = kItems * kOwnBytes;
  static constexpr int kOwnNumbers = kFirstStage + kStages * kStageBytes;
  static constexpr int kStageNumbers = kOwnNumbers + kItems * kGroups * kNumbersBytes;
  static constexpr int kFirstBarrier = kStageNumbers + kStages * kNumbersBytes;
  static constexpr int kIndices = kFirstBarrier + kBarriers * 8;
  static constexpr int kAlignment = 1024;
  static constexpr int kBytes = kIndices + kItems * 4 + kAlignment;

  char* base;  ///< Aligned.
  std::uint32_t address;

  __device__ explicit Memory(char* raw) {
    const std::uint32_t at = shared_address(raw);
    const std::uint32_t aligned = (at + kAlignment - 1) / kAlignment * kAlignment;
    base = raw + (aligned - at);
    address = aligned;
  }

  /// The two tiles of a warpgroup: keys and values, or queries and their gradients of out.
  __device__ std::uint32_t own(int place, int group, int which) const {
    return at(place * kOwnBytes + (group * 2 + which) * kWgmmaTileBytes);
  }
  __device__ std::uint32_t tile(int stage, int which) const {
    return at(kFirstStage + stage * kStageBytes + which * kWgmmaTileBytes);
  }
  /// Offsets from base.
  __device__ static int own_numbers(int place, int group) {
    return kOwnNumbers + (place * kGroups + group) * kNumbersBytes;
  }
  __device__ static int numbers(int stage) { return kStageNumbers + stage * kNumbersBytes; }
  __device__ const RowNumbers* numbers_at(int offset) const {
    return reinterpret_cast<const RowNumbers*>(base + offset);
  }
  __device__ std::uint32_t own_full(int place) const { return barrier(place); }
  __device__ std::uint32_t own_empty(int place) const { return barrier(kItems + place); }
  __device__ std::uint32_t full(int stage) const { return barrier(2 * kItems + stage); }
  __device__ std::uint32_t empty(int stage) const { return barrier(2 * kItems + kStages + stage); }
  /// Which item is there.
  __device__ volatile unsigned& index(int place) const {
    return reinterpret_cast<volatile unsigned*>(base + kIndices)[place];
  }
  __device__ std::uint32_t at(int offset) const {
    return address + static_cast<std::uint32_t>(offset);
  }

 private:
  __device__ std::uint32_t barrier(int index) const { return at(kFirstBarrier + index * 8); }
};

/// A place in a ring, and the parity of the round.
template <int kPlaces>
struct Turn {
  int place = 0;
  unsigned parity = 0;

  __device__ void next() {
    if (++place < kPlaces) return;
    place = 0;
    parity ^= 1U;
  }
};

}  // namespace cajal::ops::cuda_attention::wgmma
