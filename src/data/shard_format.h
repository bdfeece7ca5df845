// The layout of a token shard's header.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace cajal::data {

inline constexpr std::size_t kShardHeaderInts = 256;
inline constexpr std::size_t kShardHeaderBytes = kShardHeaderInts * sizeof(std::int32_t);

static_assert(std::endian::native == std::endian::little, "token shards are little-endian");

}  // namespace cajal::data
