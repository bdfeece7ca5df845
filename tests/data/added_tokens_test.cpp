#include "data/added_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/tokenizer.h"
#include "data/tokenizer_json.h"
#include "data/utf8.h"
#include "support.h"

namespace cajal::data {
namespace {

using nlohmann::json;
using test::TemporaryDirectory;

const std::filesystem::path kGolden = CAJAL_TEST_GOLDEN_DIR;

AddedToken token(std::string text, TokenId id) {
  AddedToken made;
  made.text = std::move(text);
  made.id = id;
  return made;
}

/// "text" or "#id", one behind the other.
std::vector<std::string> split(const AddedTokens& tokens, std::string_view text,
                               bool parse_special = true) {
  std::vector<std::string> pieces;
  for (const auto& piece : tokens.split(text, parse_special)) {
    pieces.push_back(piece.id < 0 ? std::string(piece.text) : fmt::format("#{}", piece.id));
  }
  return pieces;
}

using Pieces = std::vector<std::string>;

// golden/added_tokens.json was made by golden/make_added_tokens.py with Hugging Face's tokenizers.
TEST(AddedTokens, EncodeAsHuggingFaceDoes) {
  const json base = json::parse(test::read_file(kGolden / "tokenizer.json"));
  const json entries = json::parse(test::read_file(kGolden / "added_tokens.json"));
  ASSERT_GT(entries.size(), 25U);
  const TemporaryDirectory dir;
  for (const json& entry : entries) {
    json file = base;
    file.merge_patch(entry["change"]);
    test::write_file(dir / "tokenizer.json", file.dump());
    const Tokenizer tokenizer = Tokenizer::load(dir / "tokenizer.json");
    tokenizer.save(dir / "saved.json");
    const Tokenizer saved = Tokenizer::load(dir / "saved.json");
    for (std::size_t i = 0; i < entry["texts"].size(); ++i) {
      const auto text = entry["texts"][i].get<std::string>();
      const auto ids = entry["ids"][i].get<std::vector<TokenId>>();
      const auto plain = entry["plain"][i].get<std::vector<TokenId>>();
      ASSERT_EQ(tokenizer.encode(text), ids) << text << entry["change"];
      ASSERT_EQ(tokenizer.encode(text, false), plain) << text << entry["change"];
      ASSERT_EQ(saved.encode(text), ids) << text << entry["change"];
      ASSERT_EQ(saved.encode(text, false), plain) << text << entry["change"];
    }
  }
}

TEST(AddedTokens, SwallowWhiteSpaceAndMindWords) {
  AddedToken strip = token("<s>", 1);
  strip.lstrip = strip.rstrip = true;
  AddedToken word = token("ab", 2);
  word.single_word = true;
  const AddedTokens tokens({strip, word});
  EXPECT_EQ(split(tokens, "x \n<s>\u3000 y"), (Pieces{"x", "#1", "y"}));
  EXPECT_EQ(split(tokens, "<s> <s>"), (Pieces{"#1", "#1"}));
  EXPECT_EQ(split(tokens, "ab cab abé ab,ab_ ab"),
            (Pieces{"#2", " cab abé ", "#2", ",ab_ ", "#2"}));
}

TEST(AddedTokens, SpecialOnesStayTextWhenNotAskedFor) {
  AddedToken plain = token("<p>", 2);
  plain.special = false;
  const AddedTokens tokens({token("<s>", 1), plain});
  EXPECT_EQ(split(tokens, "<s><p>"), (Pieces{"#1", "#2"}));
  EXPECT_EQ(split(tokens, "<s><p>", false), (Pieces{"<s>", "#2"}));
}

TEST(AddedTokens, LooksForNormalizedOnesInWhatIsLeft) {
  AddedToken longer = token("ab c", 1);
  longer.normalized = true;
  const AddedTokens tokens({longer, token("b", 2)});
  EXPECT_EQ(split(tokens, "ab c"), (Pieces{"a", "#2", " c"}));
}

/// Where may_cut allows it, the parts have the pieces of the whole.
TEST(AddedTokens, MayBeCutWhereItSays) {
  test::Random random;
  int allowed = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    std::vector<AddedToken> list;
    const std::vector<std::string> texts = {"<x>", "x y", "y\n", "  ", "a"};
    for (std::size_t i = 0; i < texts.size(); ++i) {
      if (random.below(2) == 0) continue;
      list.push_back(token(texts[i], static_cast<TokenId>(i)));
      list.back().rstrip = random.below(3) == 0;
      list.back().lstrip = random.below(3) == 0;
      list.back().single_word = random.below(3) == 0;
      list.back().normalized = random.below(3) == 0;
    }
    const AddedTokens tokens(list);
    std::string text;
    for (std::size_t i = random.below(20); i > 0; --i) {
      text += random.pick<std::string>({"<x>", "x", " y", "\n", " ", "a", "b", "é"});
    }
    for (std::size_t cut = 1; cut < text.size(); ++cut) {
      // As text is cut: before a blank that follows something visible.
      if (text[cut] != ' ' && text[cut] != '\n') continue;
      if (white_space_before(text, cut) || !tokens.may_cut(text, cut)) continue;
      ++allowed;
      // Text that lies across the cut is in two pieces: joined before they are compared.
      const auto joined = [](Pieces pieces) {
        Pieces result;
        for (const auto& piece : pieces) {
          const bool both_text = !result.empty() && result.back()[0] != '#' && piece[0] != '#';
          if (both_text) {
            result.back() += piece;
          } else {
            result.push_back(piece);
          }
        }
        return result;
      };
      Pieces parts = split(tokens, std::string_view(text).substr(0, cut));
      for (auto& piece : split(tokens, std::string_view(text).substr(cut))) parts.push_back(piece);
      ASSERT_EQ(joined(parts), joined(split(tokens, text))) << text << " cut at " << cut;
    }
  }
  EXPECT_GT(allowed, 500);
}

}  // namespace
}  // namespace cajal::data
