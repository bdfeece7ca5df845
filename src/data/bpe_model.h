// What a byte-level BPE tokenizer knows.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "data/merge_table.h"
#include "data/splitter.h"
#include "data/tokenizer.h"

namespace cajal::data {

struct SpecialToken {
  std::string text;
  TokenId id = 0;
};

/// As trained or as read from a file.
struct BpeVocabulary {
  std::vector<std::string> tokens;  ///< Bytes by id, special tokens among them.
  std::vector<Merge> merges;        ///< First to last.
  std::vector<SpecialToken> specials;
  std::array<TokenId, 256> byte_ids{};
};

/// Made ready to encode.
struct BpeModel {
  explicit BpeModel(BpeVocabulary v) : vocabulary(std::move(v)), table(vocabulary.merges) {}

  BpeVocabulary vocabulary;
  MergeTable table;
  Splitter splitter;
};

}  // namespace cajal::data
