// Tokens that are found in the text before it is split into words.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "data/phrase_finder.h"
#include "data/tokenizer.h"

namespace cajal::data {

/// As tokenizer.json has it.
struct AddedToken {
  std::string text;
  TokenId id = 0;
  bool single_word = false;   ///< Found only where no letter or digit is beside it.
  bool lstrip = false;        ///< Swallows the white space before it.
  bool rstrip = false;        ///< Swallows the white space behind it.
  bool normalized = false;    ///< Looked for after the others, in what they leave.
  bool special = true;        ///< Controls the model, is no text: see parse_special.
  bool in_vocabulary = true;  ///< Stands among the model's own tokens too.
};

/// Finds them as Hugging Face's tokenizers does. Immutable.
class AddedTokens {
 public:
  explicit AddedTokens(const std::vector<AddedToken>& tokens);

  /// Text, or a token.
  struct Piece {
    std::string_view text;
    TokenId id = -1;  ///< -1 for text.
  };

  /// Left to right. Special tokens stay text unless `parse_special`.
  std::vector<Piece> split(std::string_view text, bool parse_special) const;

  /// Whether the pieces of `text` are those of its two parts: no token lies across `position` or,
  /// where that matters, beside it.
  bool may_cut(std::string_view text, std::size_t position) const;

  bool empty() const { return plain_.tokens.empty() && normalized_.tokens.empty(); }

 private:
  struct Set {
    explicit Set(std::vector<AddedToken> t);
    void split(std::string_view text, bool parse_special, std::vector<Piece>& pieces) const;

    std::vector<AddedToken> tokens;
    PhraseFinder finder;
  };

  Set plain_;
  Set normalized_;
  bool beside_matters_ = false;
};

}  // namespace cajal::data
