// What a byte-level BPE tokenizer knows.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "data/added_tokens.h"
#include "data/merge_table.h"
#include "data/tokenizer.h"

namespace cajal::data {

inline constexpr TokenId kNoToken = -1;

/// As trained or as read from a file.
struct BpeVocabulary {
  std::vector<std::string> tokens;  ///< Bytes by id, added tokens among them; empty: no such id.
  std::vector<Merge> merges;        ///< First to last.
  std::vector<AddedToken> added;
  std::array<TokenId, 256> byte_ids{};  ///< kNoToken for a byte without a token.

  std::string unk_token;       ///< Its name; empty for none.
  std::optional<TokenId> unk;  ///< Stands for bytes without a token, which are dropped else.
  bool fuse_unk = false;       ///< Several such bytes in a row are one.
  std::unordered_set<TokenId>
      verbatim;                       ///< Spelled in the file as they are, not in byte stand-ins.
  std::string post_processor;         ///< JSON as it was read; empty for none.
  std::vector<std::string> warnings;  ///< What the reader of the file should be told.
};

/// Made ready to encode.
struct BpeModel {
  explicit BpeModel(BpeVocabulary v)
      : vocabulary(std::move(v)), table(vocabulary.merges), added(vocabulary.added) {}

  BpeVocabulary vocabulary;
  MergeTable table;
  AddedTokens added;
};

}  // namespace cajal::data
