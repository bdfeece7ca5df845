// The thread that takes items and has their tiles copied.
#pragma once

#include "ops/attention/wgmma_backward.cuh"

namespace cajal::ops::cuda_attention::wgmma {

class Copies {
 public:
  __device__ Copies(const Arguments& arguments, const Memory& memory)
      : a_(arguments), memory_(memory) {}

  /// Until all items are taken; the last that the warpgroups are told of is none.
  __device__ void run() {
    for (unsigned index = take();; index = take()) {
      wait_phase(memory_.own_empty(own_.place), own_.parity ^ 1U);  // At first it is empty.
      memory_.index(own_.place) = index;
      if (index >= item_count(a_)) {
        arrive(memory_.own_full(own_.place));
        return;
      }
      const Item item = item_at(a_, index);
      fetch_own(item);
      own_.next();
      for (int tile = item.first; tile <= item.last; ++tile) fetch(item, tile);
    }
  }

 private:
  __device__ unsigned take() { return atomicAdd(a_.taken, 1U); }

  __device__ int row_of(const Item& item, int tile) const {
    return item.head / a_.heads_a_sequence * a_.tokens + tile * kTileSide;
  }
  __device__ int column_of(const Item& item) const {
    return item.head % a_.heads_a_sequence * kTileSide;
  }
  __device__ const RowNumbers* numbers_of(const Item& item, int tile) const {
    return a_.numbers + std::int64_t{item.head} * a_.tokens + tile * kTileSide;
  }

  /// Two tiles: keys and values, or queries and their gradients of out.
  __device__ void fetch_pair(Role role, const Item& item, int tile, std::uint32_t first,
                             std::uint32_t second, std::uint32_t barrier) const {
    const int row = row_of(item, tile);
    const int column = column_of(item);
    if (role == Role::keys) {
      fetch_tile(first, a_.qkv, column + a_.k_column, row, barrier);
      fetch_tile(second, a_.qkv, column + a_.v_column, row, barrier);
    } else {
      fetch_tile(first, a_.qkv, column, row, barrier);
      fetch_tile(second, a_.dout, column, row, barrier);
    }
  }

  __device__ void fetch_numbers(const Item& item, int tile, int offset,
                                std::uint32_t barrier) const {
    fetch_bytes(memory_.at(offset), numbers_of(item, tile), Memory::kNumbersBytes, barrier);
  }

  __device__ void fetch_own(const Item& item) const {
    const std::uint32_t full = memory_.own_full(own_.place);
    const int groups = min(kGroups, tiles_of(a_) - item.own_tile(0));
    const bool numbers = item.role == Role::queries;
    arrive_expecting(full, groups * (2 * kWgmmaTileBytes + (numbers ? Memory::kNumbersBytes : 0)));
    for (int group = 0; group < groups; ++group) {
      const int tile = item.own_tile(group);
      fetch_pair(item.role, item, tile, memory_.own(own_.place, group, 0),
                 memory_.own(own_.place, group, 1), full);
      if (numbers) fetch_numbers(item, tile, Memory::own_numbers(own_.place, group), full);
    }
  }

  __device__ void fetch(const Item& item, int tile) {
    const int stage = turn_.place;
    const std::uint32_t full = memory_.full(stage);
    wait_phase(memory_.empty(stage), turn_.parity ^ 1U);
    const bool numbers = item.role == Role::keys;
    arrive_expecting(full, Memory::kStageBytes + (numbers ? Memory::kNumbersBytes : 0));
    fetch_pair(numbers ? Role::queries : Role::keys, item, tile, memory_.tile(stage, 0),
               memory_.tile(stage, 1), full);
    if (numbers) fetch_numbers(item, tile, Memory::numbers(stage), full);
    turn_.next();
  }

  const Arguments& a_;
  const Memory& memory_;
  Turn<kItems> own_;
  Turn<kStages> turn_;
};

}  // namespace cajal::ops::cuda_attention::wgmma
