#include "data/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "cajal/error.h"
#include "data/byte_alphabet.h"
#include "data/corpus.h"
#include "data/splitter.h"
#include "support.h"

namespace cajal::data {
namespace {

using test::Random;
using test::TemporaryDirectory;
using test::write_file;
using testing::ElementsAre;

constexpr const char* kText =
    "the lower the newer the wider, and the lowest of the newest;\n"
    "for (int i = 0; i < size; ++i) { values[i] = values[i - 1] + 1; }\n"
    "it's the house's, they're here -- größer, größte, größe, 日本語 日本語 日本\n";

BpeOptions with_vocab(int size) {
  BpeOptions options;
  options.vocab_size = size;
  return options;
}

Tokenizer train_on(std::string_view text, const BpeOptions& options) {
  const TemporaryDirectory dir;
  write_file(dir / "text", text);
  return Tokenizer::train(Corpus::open({dir.path()}), options);
}

std::vector<std::string> tokens_of(const Tokenizer& tokenizer) {
  std::vector<std::string> tokens;
  for (int id = 0; id < tokenizer.vocab_size(); ++id) tokens.emplace_back(tokenizer.bytes_of(id));
  return tokens;
}

using Sequence = std::vector<int>;

/// Counts every pair anew for each merge: slow and obvious.
std::vector<std::string> reference_tokens(std::string_view text, std::size_t vocab_size) {
  std::map<unsigned char, int> byte_ids;
  std::vector<std::string> tokens;
  for (const unsigned char byte : byte_order()) {
    byte_ids[byte] = static_cast<int>(tokens.size());
    tokens.emplace_back(1, static_cast<char>(byte));
  }
  std::vector<Sequence> words;
  for_each_word(text, [&](std::string_view word) {
    Sequence ids;
    for (const char c : word) ids.push_back(byte_ids[static_cast<unsigned char>(c)]);
    words.push_back(ids);
  });
  while (tokens.size() < vocab_size - 1) {
    std::map<std::pair<int, int>, int> counts;
    for (const Sequence& word : words) {
      for (std::size_t i = 0; i + 1 < word.size(); ++i) ++counts[{word[i], word[i + 1]}];
    }
    std::pair<int, int> best;
    int most = 1;
    for (const auto& [pair, count] : counts) {
      if (count > most) best = pair, most = count;
    }
    if (most < 2) break;
    const std::string bytes = tokens[best.first] + tokens[best.second];
    const auto same = std::find(tokens.begin(), tokens.end(), bytes);
    const int id = static_cast<int>(same - tokens.begin());
    if (same == tokens.end()) tokens.push_back(bytes);
    for (Sequence& word : words) {
      Sequence merged;
      for (std::size_t i = 0; i < word.size(); ++i) {
        const bool pair =
            i + 1 < word.size() && word[i] == best.first && word[i + 1] == best.second;
        merged.push_back(pair ? id : word[i]);
        i += pair ? 1 : 0;
      }
      word = merged;
    }
  }
  tokens.emplace_back(kEndOfText);
  return tokens;
}

TEST(TokenizerTraining, AgreesWithASlowReference) {
  Random random;
  EXPECT_EQ(tokens_of(train_on(kText, with_vocab(320))), reference_tokens(kText, 320));
  for (int trial = 0; trial < 20; ++trial) {
    std::string text;
    // Few letters give many equal counts and overlapping pairs.
    for (int i = 0; i < 400; ++i)
      text += random.pick<std::string>({"a", "b", "aa", "ab", " ", "c"});
    ASSERT_EQ(tokens_of(train_on(text, with_vocab(300))), reference_tokens(text, 300)) << text;
  }
}

TEST(TokenizerTraining, DoesNotDependOnTheThreadCount) {
  const TemporaryDirectory dir;
  Random random;
  for (int file = 0; file < 40; ++file) {
    std::string text = kText;
    for (int i = 0; i < 3000; ++i) text += random.pick<std::string>({"the", "se", " ", "\n", "x1"});
    write_file(dir / std::to_string(file), text);
  }
  const Corpus corpus = Corpus::open({dir.path()});
  BpeOptions options = with_vocab(400);
  options.threads = 1;
  const auto alone = tokens_of(Tokenizer::train(corpus, options));
  for (const int threads : {2, 3, 8}) {
    options.threads = threads;
    EXPECT_EQ(tokens_of(Tokenizer::train(corpus, options)), alone) << threads << " threads";
  }
}

TEST(TokenizerTraining, FillsTheVocabularyOrStopsEarly) {
  EXPECT_EQ(train_on(kText, with_vocab(280)).vocab_size(), 280);
  EXPECT_EQ(train_on(kText, with_vocab(257)).vocab_size(), 257);
  const Tokenizer small = train_on("abab", with_vocab(5000));
  EXPECT_EQ(small.vocab_size(), 258) << "only the pair ab occurs twice";
  EXPECT_EQ(small.bytes_of(256), "ab");
}

TEST(TokenizerTraining, ReportsProgressOnTheCallingThread) {
  BpeOptions options = with_vocab(300);
  std::vector<double> shares;
  const auto caller = std::this_thread::get_id();
  options.progress = [&](double share) {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    shares.push_back(share);
  };
  train_on(kText, options);
  ASSERT_FALSE(shares.empty());
  EXPECT_TRUE(std::is_sorted(shares.begin(), shares.end()));
  EXPECT_EQ(shares.back(), 1.0);
}

TEST(TokenizerTraining, RefusesWhatCannotBe) {
  EXPECT_THROW(train_on(kText, with_vocab(256)), InvalidArgument);
  EXPECT_THROW(train_on(kText, with_vocab(-1)), InvalidArgument);
  for (const std::string special : {"", "a", "\xFF", "<|endoftext|>"}) {
    BpeOptions options;
    options.special_tokens = {"<|endoftext|>", special};
    EXPECT_THROW(train_on(kText, options), InvalidArgument) << special;
  }
  BpeOptions options;
  options.threads = -2;
  EXPECT_THROW(train_on(kText, options), InvalidArgument);
}

TEST(TokenizerTraining, NeverLearnsASpecialTokensSpelling) {
  BpeOptions options = with_vocab(300);
  options.special_tokens = {"the"};
  options.parse_special = false;
  const Tokenizer tokenizer = train_on("the the the the them them", options);
  EXPECT_EQ(tokenizer.added("the"), tokenizer.vocab_size() - 1);
  for (const TokenId id : tokenizer.encode("the", false)) EXPECT_NE(id, tokenizer.added("the"));
}

TEST(Tokenizer, RoundTripsEveryByteString) {
  const Tokenizer tokenizer = train_on(kText, with_vocab(330));
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text(1, static_cast<char>(byte));
    const auto ids = tokenizer.encode(text);
    ASSERT_EQ(ids.size(), 1U);
    EXPECT_EQ(tokenizer.decode(ids), text);
  }
  Random random;
  for (int trial = 0; trial < 1000; ++trial) {
    for (const std::string& text :
         {random.bytes(random.below(200)), random.text(random.below(60))}) {
      ASSERT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
      ASSERT_EQ(tokenizer.decode(tokenizer.encode(text, false)), text);
    }
  }
  EXPECT_TRUE(tokenizer.encode("").empty());
  EXPECT_EQ(tokenizer.decode({}), "");
}

TEST(Tokenizer, EncodesAVeryLongWord) {
  const Tokenizer tokenizer = train_on(kText, with_vocab(330));
  const std::string word(300'000, 'e');
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(word)), word);
}

TEST(Tokenizer, LeavesSpecialTokensAsTextWhenAsked) {
  BpeOptions options = with_vocab(280);
  options.special_tokens = {"<|endoftext|>", "<|a|>", "<|a|><|b|>"};
  const Tokenizer tokenizer = train_on(kText, options);
  EXPECT_EQ(tokenizer.end_of_text(), 277);
  EXPECT_EQ(tokenizer.added("<|a|>"), 278);
  EXPECT_EQ(tokenizer.added("<|c|>"), std::nullopt);
  EXPECT_THAT(tokenizer.encode("<|endoftext|>", true), ElementsAre(277));
  EXPECT_THAT(tokenizer.encode("<|a|><|b|><|a|><|endoftext|>", true), ElementsAre(279, 278, 277));
  EXPECT_GT(tokenizer.encode("<|endoftext|>", false).size(), 1U);
  const auto ids = tokenizer.encode("one<|a|> two", true);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 278), 1);
  EXPECT_EQ(tokenizer.decode(ids), "one<|a|> two");
}

TEST(TokenizerTraining, PassesOverSpecialTokensInTheText) {
  std::string text;
  for (int i = 0; i < 50; ++i) text += "a lamp<|endoftext|>\n";
  const auto learnt = [&](bool parse_special) {
    BpeOptions options = with_vocab(300);
    options.parse_special = parse_special;
    auto tokens = tokens_of(train_on(text, options));
    tokens.pop_back();  // The special token itself.
    return std::count_if(tokens.begin(), tokens.end(),
                         [](const std::string& t) { return t.find("endof") != std::string::npos; });
  };
  EXPECT_EQ(learnt(true), 0);
  EXPECT_GT(learnt(false), 0);
}

TEST(Tokenizer, RefusesIdsItDoesNotHave) {
  const Tokenizer tokenizer = train_on(kText, with_vocab(300));
  EXPECT_THROW(tokenizer.bytes_of(300), InvalidArgument);
  EXPECT_THROW(tokenizer.bytes_of(-1), InvalidArgument);
  const std::vector<TokenId> ids{1, 999};
  EXPECT_THROW(tokenizer.decode(ids), InvalidArgument);
}

TEST(Tokenizer, EncoderAgreesWithEncode) {
  const Tokenizer tokenizer = train_on(kText, with_vocab(330));
  Encoder encoder(tokenizer);
  Random random;
  for (int trial = 0; trial < 300; ++trial) {
    const std::string text = random.text(30);
    std::vector<TokenId> ids;
    encoder.append(text, ids);
    ASSERT_EQ(ids, tokenizer.encode(text)) << text;
  }
}

TEST(Tokenizer, EncodesOnSeveralThreadsAtOnce) {
  const Tokenizer tokenizer = train_on(kText, with_vocab(330));
  const auto expected = tokenizer.encode(kText);
  std::vector<std::vector<TokenId>> results(4);
  std::vector<std::thread> threads;
  for (auto& result : results) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) result = tokenizer.encode(kText);
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& result : results) EXPECT_EQ(result, expected);
}

}  // namespace
}  // namespace cajal::data
