#include "data/word_encoder.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

namespace cajal::data {
namespace {

constexpr std::size_t kCachedBytes = 16;
constexpr std::size_t kScanLimit = 48;  // Longer words merge faster through a heap.
constexpr std::int32_t kNoMerge = std::numeric_limits<std::int32_t>::max();

static_assert(std::endian::native == std::endian::little,
              "words are compared as little-endian integers");

struct Key {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
};

std::uint64_t keep_bytes(std::uint64_t value, std::size_t bytes) {
  return bytes >= 8 ? value : value & ((std::uint64_t{1} << (8 * bytes)) - 1);
}

Key load(std::string_view word, const char* text_end) {
  Key key;
  if (text_end - word.data() >= static_cast<std::ptrdiff_t>(kCachedBytes)) {
    // Two loads of fixed size and a mask cost less than a copy of unknown length.
    std::memcpy(&key, word.data(), kCachedBytes);
    key.low = keep_bytes(key.low, word.size());
    key.high = word.size() > 8 ? keep_bytes(key.high, word.size() - 8) : 0;
  } else {
    std::memcpy(&key, word.data(), word.size());
  }
  return key;
}

std::uint64_t mix(const Key& key, std::size_t length) {
  std::uint64_t hash = (key.low ^ length) * 0x9E3779B97F4A7C15U;
  hash ^= hash >> 29;
  hash = (hash ^ key.high) * 0xBF58476D1CE4E5B9U;
  return hash ^ hash << 31;
}

}  // namespace

WordEncoder::WordEncoder(const BpeModel& model, std::size_t slots)
    : model_(model), slots_(std::bit_ceil(std::max<std::size_t>(slots, 2))) {
  shift_ = 64U - static_cast<unsigned>(std::countr_zero(slots_.size()));
}

void WordEncoder::append(std::string_view word, const char* text_end, std::vector<TokenId>& ids) {
  if (word.size() > kCachedBytes) {
    const auto merged = merge(word);
    ids.insert(ids.end(), merged.begin(), merged.end());
    return;
  }
  const Key key = load(word, text_end);
  Slot& slot = slots_[mix(key, word.size()) >> shift_];
  if (slot.length != word.size() || slot.low != key.low || slot.high != key.high) {
    const auto merged = merge(word);
    if (merged.size() > slot.ids.size()) {
      ids.insert(ids.end(), merged.begin(), merged.end());
      return;
    }
    slot.low = key.low;
    slot.high = key.high;
    slot.length = static_cast<std::uint16_t>(word.size());
    slot.count = static_cast<std::uint16_t>(merged.size());
    std::copy(merged.begin(), merged.end(), slot.ids.begin());
  }
  ids.insert(ids.end(), slot.ids.begin(), slot.ids.begin() + slot.count);
}

std::span<const TokenId> WordEncoder::merge(std::string_view word) {
  read_symbols(word);
  if (symbols_.size() <= kScanLimit) {
    merge_by_scan();
  } else {
    merge_by_heap();
  }
  return symbols_;
}

void WordEncoder::read_symbols(std::string_view word) {
  symbols_.clear();
  symbols_.reserve(word.size());
  const BpeVocabulary& vocabulary = model_.vocabulary;
  bool unknown_before = false;
  for (const char c : word) {
    const TokenId id = vocabulary.byte_ids[static_cast<unsigned char>(c)];
    const bool unknown = id == kNoToken;
    if (!unknown) {
      symbols_.push_back(id);
    } else if (vocabulary.unk && !(unknown_before && vocabulary.fuse_unk)) {
      symbols_.push_back(*vocabulary.unk);
    }
    unknown_before = unknown;
  }
}

void WordEncoder::merge_by_scan() {
  const auto rank_at = [&](std::size_t i) {
    const auto* entry = model_.table.find(symbols_[i], symbols_[i + 1]);
    return entry == nullptr ? kNoMerge : entry->rank;
  };
  ranks_.resize(symbols_.size());
  for (std::size_t i = 0; i + 1 < symbols_.size(); ++i) ranks_[i] = rank_at(i);
  while (symbols_.size() > 1) {
    const auto last = ranks_.begin() + static_cast<std::ptrdiff_t>(symbols_.size()) - 1;
    const auto best = std::min_element(ranks_.begin(), last);
    if (*best == kNoMerge) return;
    const auto at = static_cast<std::size_t>(best - ranks_.begin());
    symbols_[at] = model_.table.find(symbols_[at], symbols_[at + 1])->result;
    symbols_.erase(symbols_.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    ranks_.erase(best + 1);
    if (at + 1 < symbols_.size()) ranks_[at] = rank_at(at);
    if (at > 0) ranks_[at - 1] = rank_at(at - 1);
  }
}

void WordEncoder::push_candidate(std::int32_t left, std::int32_t right) {
  if (left < 0 || right < 0) return;
  const TokenId a = nodes_[static_cast<std::size_t>(left)].id;
  const TokenId b = nodes_[static_cast<std::size_t>(right)].id;
  const auto* entry = model_.table.find(a, b);
  if (entry == nullptr) return;
  heap_.push_back({entry->rank, left, a, b});
  std::push_heap(heap_.begin(), heap_.end(), [](const Candidate& x, const Candidate& y) {
    return x.rank != y.rank ? x.rank > y.rank : x.position > y.position;
  });
}

void WordEncoder::merge_by_heap() {
  const auto later = [](const Candidate& x, const Candidate& y) {
    return x.rank != y.rank ? x.rank > y.rank : x.position > y.position;
  };
  const auto count = static_cast<std::int32_t>(symbols_.size());
  nodes_.resize(symbols_.size());
  heap_.clear();
  for (std::int32_t i = 0; i < count; ++i) {
    nodes_[static_cast<std::size_t>(i)] = {symbols_[static_cast<std::size_t>(i)], i - 1,
                                           i + 1 < count ? i + 1 : -1};
  }
  for (std::int32_t i = 0; i + 1 < count; ++i) push_candidate(i, i + 1);

  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const Candidate candidate = heap_.back();
    heap_.pop_back();
    Node& left = nodes_[static_cast<std::size_t>(candidate.position)];
    // A merged-away token has the id -1; a pair that has changed since has been pushed anew.
    if (left.id != candidate.left || left.next < 0) continue;
    Node& right = nodes_[static_cast<std::size_t>(left.next)];
    if (right.id != candidate.right) continue;
    left.id = model_.table.find(candidate.left, candidate.right)->result;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) nodes_[static_cast<std::size_t>(left.next)].previous = candidate.position;
    push_candidate(left.previous, candidate.position);
    push_candidate(candidate.position, left.next);
  }

  symbols_.clear();
  for (std::int32_t i = 0; i >= 0; i = nodes_[static_cast<std::size_t>(i)].next) {
    symbols_.push_back(nodes_[static_cast<std::size_t>(i)].id);
  }
}

}  // namespace cajal::data
