// Token shards made by hand.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace cajal::data::test {

inline std::string make_shard(const std::vector<std::uint16_t>& tokens) {
  std::vector<std::int32_t> header(256, 0);
  header[0] = 20240520;
  header[1] = 1;
  header[2] = static_cast<std::int32_t>(tokens.size());
  std::string bytes(reinterpret_cast<const char*>(header.data()), 1024);
  bytes.append(reinterpret_cast<const char*>(tokens.data()), tokens.size() * sizeof tokens[0]);
  return bytes;
}

/// `count` tokens from `first` on, modulo 65536.
inline std::vector<std::uint16_t> counting(std::size_t count, std::size_t first = 0) {
  std::vector<std::uint16_t> tokens(count);
  for (std::size_t i = 0; i < count; ++i) tokens[i] = static_cast<std::uint16_t>(first + i);
  return tokens;
}

}  // namespace cajal::data::test
