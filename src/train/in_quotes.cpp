#include "train/in_quotes.h"

#include <nlohmann/json.hpp>

namespace cajal::train {

std::string in_quotes(std::string_view text) {
  using nlohmann::json;
  constexpr std::size_t kLongest = 120;
  const bool cut = text.size() > kLongest;
  // Cut within a character, the rest of it becomes U+FFFD.
  const std::string line =
      json(text.substr(0, kLongest)).dump(-1, ' ', false, json::error_handler_t::replace);
  return cut ? line + "..." : line;
}

}  // namespace cajal::train
