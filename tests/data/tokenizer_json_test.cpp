#include "data/tokenizer_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "cajal/error.h"
#include "data/byte_alphabet.h"
#include "data/corpus.h"
#include "data/tokenizer.h"
#include "support.h"

namespace cajal::data {
namespace {

using nlohmann::json;
using test::TemporaryDirectory;
using testing::HasSubstr;

const std::filesystem::path kGolden = CAJAL_TEST_GOLDEN_DIR;

std::string golden_text() { return test::read_file(kGolden / "tokenizer.json"); }

std::string error_of(const std::string& text) {
  try {
    parse_tokenizer_json(text, "file");
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

/// The error after `change` to a good file.
std::string error_after(const std::function<void(json&)>& change) {
  json file = json::parse(golden_text());
  change(file);
  return error_of(file.dump());
}

// golden/ was made with Hugging Face tokenizers 0.23: a tokenizer trained by it and its encodings.
TEST(TokenizerJson, EncodesAsHuggingFaceDoes) {
  const Tokenizer tokenizer = Tokenizer::load(kGolden / "tokenizer.json");
  const json cases = json::parse(test::read_file(kGolden / "encodings.json"));
  ASSERT_GT(cases.size(), 200U);
  for (const json& item : cases) {
    const auto text = item["text"].get<std::string>();
    EXPECT_EQ(tokenizer.encode(text, true), item["ids"].get<std::vector<TokenId>>()) << text;
  }
}

TEST(TokenizerJson, ReadsMergesInBothNotations) {
  const BpeVocabulary pairs = parse_tokenizer_json(golden_text(), "file");
  json file = json::parse(golden_text());
  for (json& merge : file["model"]["merges"]) {
    merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  }
  const BpeVocabulary strings = parse_tokenizer_json(file.dump(), "file");
  ASSERT_EQ(pairs.merges.size(), strings.merges.size());
  for (std::size_t i = 0; i < pairs.merges.size(); ++i) {
    EXPECT_EQ(pairs.merges[i].left, strings.merges[i].left);
    EXPECT_EQ(pairs.merges[i].right, strings.merges[i].right);
    EXPECT_EQ(pairs.merges[i].result, strings.merges[i].result);
  }
}

TEST(TokenizerJson, SavesAndLoadsTheSameTokenizer) {
  const TemporaryDirectory dir;
  test::write_file(dir / "text", "now and then, now and then, größer und größer\n");
  BpeOptions options;
  options.vocab_size = 275;
  options.special_tokens = {"<|endoftext|>", "<| with space |>", "日本"};
  const Tokenizer trained = Tokenizer::train(Corpus::open({dir / "text"}), options);
  trained.save(dir / "tokenizer.json");
  const Tokenizer loaded = Tokenizer::load(dir / "tokenizer.json");
  ASSERT_EQ(loaded.vocab_size(), trained.vocab_size());
  for (int id = 0; id < trained.vocab_size(); ++id) {
    EXPECT_EQ(loaded.bytes_of(id), trained.bytes_of(id));
  }
  for (const std::string& special : options.special_tokens) {
    EXPECT_EQ(loaded.special(special), trained.special(special));
  }
  test::Random random;
  for (int trial = 0; trial < 200; ++trial) {
    const std::string text = random.text(30) + "<| with space |>and then日本";
    EXPECT_EQ(loaded.encode(text, true), trained.encode(text, true));
  }
  loaded.save(dir / "again.json");
  EXPECT_EQ(test::read_file(dir / "again.json"), test::read_file(dir / "tokenizer.json"));
  EXPECT_FALSE(std::filesystem::exists(dir / "again.json.partial"));
}

TEST(TokenizerJson, SpellsEveryByteAsGpt2Does) {
  EXPECT_EQ(spell("a b\n"), "aĠbĊ");
  EXPECT_EQ(spell(std::string("\0\xFF\xAD", 3)), "ĀÿŃ");
  EXPECT_EQ(byte_order()[0], '!');
  EXPECT_EQ(byte_order()[94], 0xA1);
  EXPECT_EQ(byte_order()[188], 0);
  EXPECT_EQ(byte_order()[255], 0xAD);
  test::Random random;
  const std::string bytes = random.bytes(5000);
  EXPECT_EQ(unspell(spell(bytes)), bytes);
  EXPECT_EQ(unspell(" "), std::nullopt);
  EXPECT_EQ(unspell("日"), std::nullopt);
}

TEST(TokenizerJson, SaysWhatIsNotSo) {
  EXPECT_THAT(error_of(""), HasSubstr("not JSON"));
  EXPECT_THAT(error_of("{\"model\":"), HasSubstr("not JSON (at byte"));
  EXPECT_THAT(error_of("[]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(error_of(std::string(200'000, '[')), HasSubstr("not JSON"));
  EXPECT_THAT(error_after([](json& f) { f.erase("model"); }), HasSubstr("\"model\""));
  EXPECT_THAT(error_after([](json& f) { f["model"]["type"] = "Unigram"; }), HasSubstr("\"type\""));
  EXPECT_THAT(error_after([](json& f) {
                f["normalizer"] = {{"type", "NFC"}};
              }),
              HasSubstr("normalizer"));
  EXPECT_THAT(error_after([](json& f) { f["pre_tokenizer"]["type"] = "Whitespace"; }),
              HasSubstr("ByteLevel"));
  EXPECT_THAT(error_after([](json& f) { f["pre_tokenizer"]["add_prefix_space"] = true; }),
              HasSubstr("add_prefix_space"));
  EXPECT_THAT(error_after([](json& f) { f["model"].erase("merges"); }), HasSubstr("\"merges\""));
  EXPECT_THAT(error_after([](json& f) { f["model"]["merges"][0] = "one"; }), HasSubstr("merge 0"));
  EXPECT_THAT(error_after([](json& f) { f["model"]["merges"][1] = f["model"]["merges"][0]; }),
              HasSubstr("merge 1 twice"));
  EXPECT_THAT(error_after([](json& f) {
                f["model"]["merges"][2] = {"Q", "Z"};
              }),
              HasSubstr("\"QZ\", which merge 2 needs"));
  EXPECT_THAT(error_after([](json& f) { f["model"]["vocab"]["a"] = "x"; }),
              HasSubstr("whole number"));
  EXPECT_THAT(error_after([](json& f) { f["model"]["vocab"]["a"] = -1; }), HasSubstr("id -1"));
  EXPECT_THAT(error_after([](json& f) { f["model"]["vocab"]["a"] = 9999; }), HasSubstr("id 9999"));
  EXPECT_THAT(error_after([](json& f) { f["model"]["vocab"]["a"] = f["model"]["vocab"]["b"]; }),
              HasSubstr("twice"));
  EXPECT_THAT(error_after([](json& f) { f["model"]["vocab"]["日"] = 420; }),
              HasSubstr("spells no bytes"));
  EXPECT_THAT(error_after([](json& f) { f["added_tokens"][0]["lstrip"] = true; }),
              HasSubstr("lstrip"));
  EXPECT_THAT(error_after([](json& f) { f["added_tokens"][0]["id"] = 5; }), HasSubstr("two ids"));
}

TEST(TokenizerJson, SurvivesAnyDamage) {
  test::Random random;
  const std::string good = golden_text();
  int refused = 0;
  for (int trial = 0; trial < 1500; ++trial) {
    std::string text = good;
    for (std::size_t edits = 1 + random.below(4); edits > 0; --edits) {
      const std::size_t at = random.below(text.size());
      switch (random.below(4)) {
        case 0:
          text[at] = static_cast<char>(random.below(256));
          break;
        case 1:
          text.erase(at, random.below(20));
          break;
        case 2:
          text.insert(at,
                      random.pick<std::string>({"\"", "{", "[", "null", "1e400", "-1", "\\u0000"}));
          break;
        default:
          text.resize(at + 1);
      }
    }
    const std::string error = error_of(text);
    if (!error.empty()) ++refused;
    ASSERT_EQ(error.find('\n'), std::string::npos) << error;
  }
  EXPECT_GT(refused, 1000);
}

TEST(TokenizerJson, NamesAMissingFile) {
  try {
    Tokenizer::load("/nowhere/tokenizer.json");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("cannot open /nowhere/tokenizer.json"));
  }
  EXPECT_THROW(Tokenizer::load("/tmp"), Error);
}

}  // namespace
}  // namespace cajal::data
