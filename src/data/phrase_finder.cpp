#include "data/phrase_finder.h"

#include <algorithm>
#include <utility>

namespace cajal::data {

PhraseFinder::PhraseFinder(const std::vector<std::string>& phrases) : nodes_(1) {
  for (std::size_t i = 0; i < phrases.size(); ++i) {
    lengths_.push_back(phrases[i].size());
    longest_ = std::max(longest_, phrases[i].size());
    if (!phrases[i].empty()) insert(phrases[i], static_cast<std::int32_t>(i));
  }
  link_failures();
}

std::int32_t PhraseFinder::child(std::int32_t node, unsigned char byte) const {
  if (node == 0) return first_[byte];
  const auto found = edges_.find(edge(node, byte));
  return found == edges_.end() ? 0 : found->second;
}

void PhraseFinder::insert(const std::string& phrase, std::int32_t index) {
  std::int32_t node = 0;
  for (auto c = phrase.rbegin(); c != phrase.rend(); ++c) {
    const auto byte = static_cast<unsigned char>(*c);
    std::int32_t next = child(node, byte);
    if (next == 0) {
      next = static_cast<std::int32_t>(nodes_.size());
      nodes_.emplace_back();
      edges_.emplace(edge(node, byte), next);
      if (node == 0) first_[byte] = next;
    }
    node = next;
  }
  std::int32_t& here = nodes_[static_cast<std::size_t>(node)].phrase;
  if (here < 0) here = index;
}

/// Breadth first: a node's failure is nearer to the root than the node.
void PhraseFinder::link_failures() {
  std::vector<std::vector<std::pair<unsigned char, std::int32_t>>> children(nodes_.size());
  for (const auto& [key, node] : edges_) {
    children[key >> 8].emplace_back(static_cast<unsigned char>(key & 0xFFU), node);
  }
  std::vector<std::int32_t> queue{0};
  for (std::size_t i = 0; i < queue.size(); ++i) {
    for (const auto& [byte, node] : children[static_cast<std::size_t>(queue[i])]) {
      queue.push_back(node);
      if (queue[i] == 0) continue;
      std::int32_t fail = nodes_[static_cast<std::size_t>(queue[i])].fail;
      while (fail != 0 && child(fail, byte) == 0)
        fail = nodes_[static_cast<std::size_t>(fail)].fail;
      fail = child(fail, byte);
      Node& self = nodes_[static_cast<std::size_t>(node)];
      self.fail = fail;
      if (self.phrase < 0) self.phrase = nodes_[static_cast<std::size_t>(fail)].phrase;
    }
  }
}

std::vector<PhraseFinder::Found> PhraseFinder::all(std::string_view text) const {
  std::vector<Found> found;
  if (empty()) return found;
  std::int32_t node = 0;
  for (std::size_t position = text.size(); position-- > 0;) {
    const auto byte = static_cast<unsigned char>(text[position]);
    std::int32_t next = child(node, byte);
    while (next == 0 && node != 0) {
      node = nodes_[static_cast<std::size_t>(node)].fail;
      next = child(node, byte);
    }
    node = next;
    const std::int32_t phrase = nodes_[static_cast<std::size_t>(node)].phrase;
    if (phrase < 0) continue;
    const auto index = static_cast<std::size_t>(phrase);
    found.push_back({position, position + lengths_[index], index});
  }
  return found;
}

std::vector<PhraseFinder::Found> PhraseFinder::leftmost_longest(std::string_view text) const {
  const std::vector<Found> places = all(text);
  std::vector<Found> found;
  std::size_t position = 0;
  for (auto place = places.rbegin(); place != places.rend(); ++place) {
    if (place->begin < position) continue;
    found.push_back(*place);
    position = place->end;
  }
  return found;
}

}  // namespace cajal::data
