#include "data/tokenizer_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

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
    EXPECT_EQ(loaded.added(special), trained.added(special));
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
  EXPECT_THAT(error_of(std::string(200'000, '[')), HasSubstr("nested too deep"));
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
  EXPECT_THAT(error_after([](json& f) { f["model"]["vocab"]["a"] = 99999; }),
              HasSubstr("id 99999"));
  EXPECT_THAT(error_after([](json& f) { f["model"]["vocab"]["a"] = f["model"]["vocab"]["b"]; }),
              HasSubstr("twice"));
  EXPECT_THAT(error_after([](json& f) { f["model"]["vocab"][""] = 420; }),
              HasSubstr("an empty token"));
  EXPECT_THAT(error_after([](json& f) { f["added_tokens"][0]["lstrip"] = 1; }),
              HasSubstr("\"lstrip\" that is neither true nor false"));
  EXPECT_THAT(error_after([](json& f) {
                f["model"]["vocab"].erase("Q");
                f["model"]["unk_token"] = "<none>";
              }),
              HasSubstr("1 of the 256 bytes, nor its unk_token \"<none>\""));
}

json deep_json(std::size_t depth) {
  // Built from a string: json's own notation would be nested as deep.
  return json::parse(std::string(depth, '[') + std::string(depth, ']'));
}

TEST(TokenizerJson, RefusesWhatIsNestedTooDeep) {
  json file = json::parse(golden_text());
  file["post_processor"] = deep_json(60);
  EXPECT_EQ(error_of(file.dump()), "");
  std::string text = golden_text();
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  text.insert(text.find('{') + 1, "\"other\":" + deep + ",");
  EXPECT_THAT(error_of(text), HasSubstr("nested too deep"));
}

/// The warnings after `change` to a good file.
std::vector<std::string> warnings_after(const std::function<void(json&)>& change) {
  json file = json::parse(golden_text());
  change(file);
  return parse_tokenizer_json(file.dump(), "file").warnings;
}

TEST(TokenizerJson, TakesThePipelinesThatEncodeAsGpt2s) {
  const json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}};
  json behind_split = byte_level;
  behind_split["use_regex"] = false;
  json split = {{"type", "Split"}, {"behavior", "Isolated"}, {"invert", false}};
  split["pattern"]["Regex"] =
      R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
  const auto sequence = [](const char* list, const std::vector<json>& members) {
    return json{{"type", "Sequence"}, {list, members}};
  };
  const auto with = [](const char* key, const json& value) {
    return error_after([&](json& f) { f[key] = value; });
  };
  EXPECT_EQ(with("pre_tokenizer", sequence("pretokenizers", {byte_level})), "");
  EXPECT_EQ(with("pre_tokenizer", sequence("pretokenizers", {split, behind_split})), "");
  EXPECT_EQ(with("normalizer", sequence("normalizers", {})), "");
  EXPECT_EQ(with("decoder", sequence("decoders", {byte_level})), "");
  EXPECT_THAT(with("pre_tokenizer", behind_split), HasSubstr("use_regex"));
  split["pattern"]["Regex"] = R"(\s+)";
  EXPECT_THAT(with("pre_tokenizer", sequence("pretokenizers", {split, behind_split})),
              HasSubstr("GPT-2's pattern"));
}

TEST(TokenizerJson, KeepsThePostProcessorAndSaysWhenItAddsTokens) {
  const json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const json begin = {{"SpecialToken", {{"id", "<|endoftext|>"}, {"type_id", 0}}}};
  const auto template_of = [](const std::vector<json>& single) {
    return json{{"type", "TemplateProcessing"}, {"single", single}, {"special_tokens", {}}};
  };
  for (const json& harmless :
       {json{{"type", "ByteLevel"}, {"trim_offsets", false}}, template_of({text})}) {
    EXPECT_TRUE(warnings_after([&](json& f) { f["post_processor"] = harmless; }).empty());
    json file = json::parse(golden_text());
    file["post_processor"] = harmless;
    const auto saved = format_tokenizer_json(parse_tokenizer_json(file.dump(), "file"));
    EXPECT_EQ(json::parse(saved)["post_processor"], harmless);
  }
  const auto warned = warnings_after([&](json& f) {
    f["post_processor"] = template_of({begin, text});
  });
  ASSERT_EQ(warned.size(), 1U);
  EXPECT_THAT(warned[0], HasSubstr("puts tokens around every text"));
}

TEST(TokenizerJson, SavesAddedTokensAsTheyWere) {
  json file = json::parse(golden_text());
  std::size_t size = file["model"]["vocab"].size();
  json token = file["added_tokens"][0];
  for (const char* content : {"<think>", "the", "a b", "é"}) {
    token["content"] = content;
    token["id"] = file["model"]["vocab"].value(content, size);
    if (token["id"] == size) ++size;
    token["special"] = !token["special"];
    token["lstrip"] = !token["lstrip"];
    token["normalized"] = !token["special"];
    file["added_tokens"].push_back(token);
  }
  const BpeVocabulary read = parse_tokenizer_json(file.dump(), "file");
  EXPECT_TRUE(read.warnings.empty());
  const json saved = json::parse(format_tokenizer_json(read));
  EXPECT_EQ(saved["added_tokens"], file["added_tokens"]);
  EXPECT_EQ(saved["model"]["vocab"], file["model"]["vocab"]);
  EXPECT_EQ(read.tokens.size(), size);
  EXPECT_EQ(read.tokens.at(size - 1), "a b");
}

TEST(TokenizerJson, KeepsTokensThatSpellNoBytesAndGapsBetweenIds) {
  json file = json::parse(golden_text());
  const std::size_t size = file["model"]["vocab"].size();
  file["model"]["vocab"]["日 本"] = size + 10;
  const BpeVocabulary read = parse_tokenizer_json(file.dump(), "file");
  EXPECT_EQ(read.tokens.size(), size + 11);
  EXPECT_EQ(read.tokens.at(size + 10), "日 本");
  EXPECT_EQ(read.tokens.at(size + 5), "");
  EXPECT_EQ(json::parse(format_tokenizer_json(read))["model"]["vocab"], file["model"]["vocab"]);
}

TEST(TokenizerJson, SaysWhereAnAddedTokenGetsAnotherId) {
  const auto warned = warnings_after([](json& f) {
    json token = f["added_tokens"][0];
    token["content"] = "<x>";
    token["id"] = 70'000;
    f["added_tokens"].push_back(token);
  });
  ASSERT_EQ(warned.size(), 1U);
  EXPECT_THAT(warned[0], HasSubstr("gives \"<x>\" the id 70000; it is 420"));
}

TEST(TokenizerJson, SaysWhichBytesHaveNoToken) {
  const auto drop = [](json& f) { f["model"]["vocab"].erase("Q"); };
  auto warned = warnings_after(drop);
  ASSERT_EQ(warned.size(), 1U);
  EXPECT_THAT(warned[0], HasSubstr("1 of the 256 bytes; they are left out"));
  warned = warnings_after([&](json& f) {
    drop(f);
    f["model"]["unk_token"] = "<|pad|>";
  });
  ASSERT_EQ(warned.size(), 1U);
  EXPECT_THAT(warned[0], HasSubstr("1 of the 256 bytes; in the text they become \"<|pad|>\""));
}

TEST(TokenizerJson, SurvivesAnyDamage) {
  test::Random random;
  const std::string good = golden_text();
  int refused = 0;
  for (int trial = 0; trial < 1500; ++trial) {
    std::string text = good;
    for (std::size_t edits = 1 + random.below(4); edits > 0 && !text.empty(); --edits) {
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
