#include "data/special_tokens.h"

namespace cajal::data {

SpecialTokenFinder::SpecialTokenFinder(const std::vector<SpecialToken>& tokens,
                                       std::string_view text)
    : tokens_(tokens), text_(text), places_(tokens.size()) {
  for (std::size_t i = 0; i < tokens_.size(); ++i) places_[i] = text_.find(tokens_[i].text);
}

std::optional<SpecialTokenFinder::Found> SpecialTokenFinder::next() {
  std::optional<Found> best;
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    std::size_t& place = places_[i];
    // Each token's next place is looked for once, so that the whole text is passed once for each.
    if (place != std::string_view::npos && place < position_) {
      place = text_.find(tokens_[i].text, position_);
    }
    if (place == std::string_view::npos) continue;
    const std::size_t end = place + tokens_[i].text.size();
    if (!best || place < best->begin || (place == best->begin && end > best->end)) {
      best = Found{place, end, tokens_[i].id};
    }
  }
  if (best) position_ = best->end;
  return best;
}

}  // namespace cajal::data
