// Learns BPE merges from counted words.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "data/bpe_model.h"
#include "data/word_counts.h"

namespace cajal::data {

/// Sennrich et al. 2016 on bytes. Merges the most frequent pair, of equals the one with the lowest
/// ids, until there are `vocab_size` tokens or no pair occurs twice. Ids: bytes in GPT-2's order,
/// merges, special tokens. Two merges may spell one token; it keeps its first id. `progress` gets
/// the share of merges done.
BpeVocabulary learn_bpe(const std::vector<WordCounter::Entry>& words, std::size_t vocab_size,
                        const std::vector<std::string>& special_tokens,
                        const std::function<void(double)>& progress);

}  // namespace cajal::data
