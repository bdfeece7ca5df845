// Finds special tokens in text.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "data/bpe_model.h"

namespace cajal::data {

/// Left to right; where several begin at one place, the longest.
class SpecialTokenFinder {
 public:
  struct Found {
    std::size_t begin = 0;
    std::size_t end = 0;
    TokenId id = 0;
  };

  SpecialTokenFinder(const std::vector<SpecialToken>& tokens, std::string_view text);

  std::optional<Found> next();

 private:
  const std::vector<SpecialToken>& tokens_;
  std::string_view text_;
  std::size_t position_ = 0;
  std::vector<std::size_t> places_;  ///< Of each token, the first place at position_ or after.
};

}  // namespace cajal::data
