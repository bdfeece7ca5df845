// Numbers as people read them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace cajal::cli {

std::string format_count(double count);       ///< 950, 12.3k, 4.56M, 1.56G
std::string format_bytes(std::size_t bytes);  ///< 12 B, 3.4 MiB, 1.2 GiB
std::string format_duration(double seconds);  ///< 0:07, 12:31, 1:02:03, 3d 04h
std::string format_share(double share);       ///< 98.1 %
std::string format_loss(double loss);         ///< 3.1416, 1.23e+06, nan

/// 12 345 678
std::string format_integer(std::int64_t value);

/// Several lines as one: what an error message has to be.
std::string one_line(std::string_view text);

}  // namespace cajal::cli
