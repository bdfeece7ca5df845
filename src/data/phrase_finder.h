// Finds any of many phrases in text, in time linear in the text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace cajal::data {

/// Aho and Corasick 1975 on the phrases and the text read backwards, so that the automaton knows at
/// each place which is the longest phrase that begins there. Neither many phrases, nor long ones,
/// nor ones that share their beginnings make it slower.
class PhraseFinder {
 public:
  struct Found {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::size_t phrase = 0;  ///< Its place in the list.
  };

  /// Empty phrases are never found; of equal ones the first is.
  explicit PhraseFinder(const std::vector<std::string>& phrases);

  bool empty() const { return longest_ == 0; }
  /// Bytes of the longest phrase.
  std::size_t longest() const { return longest_; }

  /// For each place where phrases begin the longest one, the last place first.
  std::vector<Found> all(std::string_view text) const;

  /// Left to right without overlaps, the longest where several begin at one place.
  std::vector<Found> leftmost_longest(std::string_view text) const;

 private:
  struct Node {
    std::int32_t fail = 0;     ///< The longest proper suffix that is a node.
    std::int32_t phrase = -1;  ///< Of the phrases that end here the longest.
  };

  static std::uint64_t edge(std::int32_t node, unsigned char byte) {
    return std::uint64_t{static_cast<std::uint32_t>(node)} << 8 | byte;
  }
  std::int32_t child(std::int32_t node, unsigned char byte) const;
  void insert(const std::string& phrase, std::int32_t index);
  void link_failures();

  std::vector<Node> nodes_;
  std::unordered_map<std::uint64_t, std::int32_t> edges_;
  std::array<std::int32_t, 256> first_{};  ///< The root's children; 0 for none.
  std::vector<std::size_t> lengths_;
  std::size_t longest_ = 0;
};

}  // namespace cajal::data
