#include "data/bpe_trainer.h"

#include <algorithm>
#include <cstdint>
#include <queue>
#include <span>
#include <unordered_map>
#include <unordered_set>

#include "data/byte_alphabet.h"

namespace cajal::data {
namespace {

constexpr std::int64_t kLeastCount = 2;  // A pair that occurs once teaches nothing.
constexpr std::size_t kProgressEvery = 64;

struct Pair {
  TokenId left = 0;
  TokenId right = 0;
  bool operator==(const Pair&) const = default;
};

struct PairHash {
  std::size_t operator()(const Pair& pair) const {
    const auto key = std::uint64_t{static_cast<std::uint32_t>(pair.left)} << 32 |
                     static_cast<std::uint32_t>(pair.right);
    const std::uint64_t mixed = key * 0x9E3779B97F4A7C15U;
    return mixed ^ mixed >> 32;
  }
};

/// A word that occurs, cut into the tokens that the merges so far give.
struct Word {
  std::size_t begin = 0;  ///< In the array of all symbols.
  std::uint32_t length = 0;
  std::int64_t count = 0;
};

/// Where a pair occurs. `words` may name words that have lost the pair since, never miss one.
struct Occurrences {
  std::int64_t count = 0;
  std::vector<std::uint32_t> words;
};

struct Candidate {
  std::int64_t count = 0;
  Pair pair;
  bool operator<(const Candidate& other) const {
    if (count != other.count) return count < other.count;
    if (pair.left != other.pair.left) return pair.left > other.pair.left;
    return pair.right > other.pair.right;
  }
};

/// The counted words with their pairs, kept up to date as pairs are merged.
class PairCounts {
 public:
  explicit PairCounts(const std::vector<WordCounter::Entry>& words);

  /// Takes the most frequent pair out; its count, below kLeastCount when none is left.
  Candidate pop();
  /// Writes `merged` for `pair` in every word.
  void merge(const Pair& pair, TokenId merged);

 private:
  std::span<TokenId> symbols(const Word& word) {
    return std::span(symbols_).subspan(word.begin, word.length);
  }
  void increase(const Pair& pair, std::uint32_t word);
  void decrease(const Pair& pair, std::uint32_t word);
  void rewrite(std::uint32_t index, const Pair& pair, TokenId merged);

  std::vector<TokenId> symbols_;
  std::vector<Word> words_;
  std::unordered_map<Pair, Occurrences, PairHash> pairs_;
  std::priority_queue<Candidate> queue_;  ///< Counts may be out of date; pop() checks.
  std::unordered_set<Pair, PairHash> increased_;
};

PairCounts::PairCounts(const std::vector<WordCounter::Entry>& words) {
  std::array<TokenId, 256> ids{};
  for (std::size_t id = 0; id < 256; ++id) ids[byte_order()[id]] = static_cast<TokenId>(id);
  words_.reserve(words.size());
  for (const WordCounter::Entry& entry : words) {
    if (entry.word.size() < 2) continue;
    const auto index = static_cast<std::uint32_t>(words_.size());
    words_.push_back({symbols_.size(), static_cast<std::uint32_t>(entry.word.size()), entry.count});
    for (const char c : entry.word) symbols_.push_back(ids[static_cast<unsigned char>(c)]);
    const auto tokens = symbols(words_.back());
    for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
      increase({tokens[i], tokens[i + 1]}, index);
    }
  }
  increased_.clear();
  for (const auto& [pair, occurrences] : pairs_) queue_.push({occurrences.count, pair});
}

Candidate PairCounts::pop() {
  while (!queue_.empty()) {
    const Candidate candidate = queue_.top();
    queue_.pop();
    const auto found = pairs_.find(candidate.pair);
    if (found == pairs_.end()) continue;
    if (found->second.count == candidate.count) return candidate;
    if (found->second.count > 0 && found->second.count < candidate.count) {
      queue_.push({found->second.count, candidate.pair});
    }
  }
  return {};
}

void PairCounts::merge(const Pair& pair, TokenId merged) {
  increased_.clear();
  const auto found = pairs_.find(pair);
  const std::vector<std::uint32_t> words = std::move(found->second.words);
  for (const std::uint32_t index : words) rewrite(index, pair, merged);
  pairs_.erase(pair);
  increased_.erase(pair);
  for (const Pair& changed : increased_) {
    const auto now = pairs_.find(changed);
    if (now != pairs_.end()) queue_.push({now->second.count, changed});
  }
}

void PairCounts::increase(const Pair& pair, std::uint32_t word) {
  Occurrences& occurrences = pairs_[pair];
  occurrences.count += words_[word].count;
  if (occurrences.words.empty() || occurrences.words.back() != word) {
    occurrences.words.push_back(word);
  }
  increased_.insert(pair);
}

void PairCounts::decrease(const Pair& pair, std::uint32_t word) {
  const auto found = pairs_.find(pair);
  if (found != pairs_.end()) found->second.count -= words_[word].count;
}

void PairCounts::rewrite(std::uint32_t index, const Pair& pair, TokenId merged) {
  Word& word = words_[index];
  const auto tokens = symbols(word);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (i + 1 == tokens.size() || tokens[i] != pair.left || tokens[i + 1] != pair.right) {
      tokens[kept++] = tokens[i];
      continue;
    }
    // What stands before is already rewritten, what stands after is not yet.
    if (kept > 0) {
      decrease({tokens[kept - 1], pair.left}, index);
      increase({tokens[kept - 1], merged}, index);
    }
    if (i + 2 < tokens.size()) {
      decrease({pair.right, tokens[i + 2]}, index);
      increase({merged, tokens[i + 2]}, index);
    }
    tokens[kept++] = merged;
    ++i;
  }
  word.length = static_cast<std::uint32_t>(kept);
}

}  // namespace

BpeVocabulary learn_bpe(const std::vector<WordCounter::Entry>& words, std::size_t vocab_size,
                        const std::vector<std::string>& special_tokens,
                        const std::function<void(double)>& progress) {
  BpeVocabulary vocabulary;
  // By spelling, as in tokenizer.json, where no two tokens may read the same.
  std::unordered_map<std::string, TokenId> ids;
  for (std::size_t id = 0; id < 256; ++id) {
    const auto byte = byte_order()[id];
    vocabulary.tokens.emplace_back(1, static_cast<char>(byte));
    vocabulary.byte_ids[byte] = static_cast<TokenId>(id);
    ids.emplace(spell(vocabulary.tokens.back()), static_cast<TokenId>(id));
  }
  const std::unordered_set<std::string> reserved(special_tokens.begin(), special_tokens.end());
  const std::size_t wanted = vocab_size - special_tokens.size();

  PairCounts pairs(words);
  while (vocabulary.tokens.size() < wanted) {
    const Candidate best = pairs.pop();
    if (best.count < kLeastCount) break;
    const std::string bytes = vocabulary.tokens[static_cast<std::size_t>(best.pair.left)] +
                              vocabulary.tokens[static_cast<std::size_t>(best.pair.right)];
    std::string spelling = spell(bytes);
    if (reserved.contains(spelling)) continue;
    const auto next = static_cast<TokenId>(vocabulary.tokens.size());
    const auto [place, fresh] = ids.emplace(std::move(spelling), next);
    if (fresh) vocabulary.tokens.push_back(bytes);
    vocabulary.merges.push_back({best.pair.left, best.pair.right, place->second});
    pairs.merge(best.pair, place->second);
    if (progress && vocabulary.merges.size() % kProgressEvery == 0) {
      progress(static_cast<double>(vocabulary.tokens.size()) / static_cast<double>(wanted));
    }
  }

  for (const std::string& token : special_tokens) {
    AddedToken added;
    added.text = token;
    added.id = static_cast<TokenId>(vocabulary.tokens.size());
    vocabulary.added.push_back(std::move(added));
    vocabulary.tokens.push_back(token);
  }
  return vocabulary;
}

}  // namespace cajal::data
