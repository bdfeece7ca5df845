#include "data/added_tokens.h"

#include <algorithm>
#include <utility>

#include "data/unicode.h"
#include "data/utf8.h"

namespace cajal::data {
namespace {

std::vector<AddedToken> those(const std::vector<AddedToken>& tokens, bool normalized) {
  std::vector<AddedToken> chosen;
  std::copy_if(tokens.begin(), tokens.end(), std::back_inserter(chosen),
               [&](const AddedToken& token) { return token.normalized == normalized; });
  return chosen;
}

std::vector<std::string> texts(const std::vector<AddedToken>& tokens) {
  std::vector<std::string> list;
  for (const AddedToken& token : tokens) list.push_back(token.text);
  return list;
}

bool word_begins(std::string_view text, std::size_t position) {
  if (position == text.size()) return false;
  const Character character = character_at(text, position);
  return character.length > 0 && is_word_character(character.code);
}

bool word_ends(std::string_view text, std::size_t position) {
  std::size_t begin = position;
  while (begin > 0 && position - begin < 4) {
    const auto byte = static_cast<unsigned char>(text[--begin]);
    if ((byte & 0xC0) != 0x80) break;
  }
  return begin < position && word_begins(text, begin);
}

}  // namespace

AddedTokens::Set::Set(std::vector<AddedToken> t) : tokens(std::move(t)), finder(texts(tokens)) {}

/// Step for step as Hugging Face's find_matches, so that overlaps made by white space that one
/// token swallows and another begins with come out the same.
void AddedTokens::Set::split(std::string_view text, bool parse_special,
                             std::vector<Piece>& pieces) const {
  std::size_t done = 0;
  for (const PhraseFinder::Found& found : finder.leftmost_longest(text)) {
    const AddedToken& token = tokens[found.phrase];
    if (token.special && !parse_special) continue;
    if (token.single_word && (word_ends(text, found.begin) || word_begins(text, found.end))) {
      continue;
    }
    std::size_t begin = found.begin;
    if (token.lstrip) begin = std::max(white_space_begin(text, begin), done);
    if (done < begin) pieces.push_back({text.substr(done, begin - done), -1});
    done = token.rstrip ? white_space_end(text, found.end) : found.end;
    if (begin < done) pieces.push_back({{}, token.id});
  }
  if (done < text.size()) pieces.push_back({text.substr(done), -1});
}

AddedTokens::AddedTokens(const std::vector<AddedToken>& tokens)
    : plain_(those(tokens, false)), normalized_(those(tokens, true)) {
  beside_matters_ = std::any_of(tokens.begin(), tokens.end(), [](const AddedToken& token) {
    return token.lstrip || token.rstrip || token.single_word;
  });
}

std::vector<AddedTokens::Piece> AddedTokens::split(std::string_view text,
                                                   bool parse_special) const {
  std::vector<Piece> pieces;
  plain_.split(text, parse_special, pieces);
  if (normalized_.tokens.empty()) return pieces;
  std::vector<Piece> all;
  for (const Piece& piece : pieces) {
    if (piece.id < 0) {
      normalized_.split(piece.text, parse_special, all);
    } else {
      all.push_back(piece);
    }
  }
  return all;
}

bool AddedTokens::may_cut(std::string_view text, std::size_t position) const {
  const auto clear = [&](const Set& set) {
    const std::size_t reach = set.finder.longest();
    const std::size_t begin = position - std::min(position, reach);
    const auto found = set.finder.all(text.substr(begin, position - begin + reach));
    return std::none_of(found.begin(), found.end(), [&](const PhraseFinder::Found& at) {
      const bool across = begin + at.begin < position && begin + at.end > position;
      const bool beside = begin + at.begin == position || begin + at.end == position;
      return across || (beside_matters_ && beside);
    });
  };
  return clear(plain_) && clear(normalized_);
}

}  // namespace cajal::data
