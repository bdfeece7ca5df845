#include "data/word_encoder.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "data/bpe_trainer.h"
#include "data/word_counts.h"
#include "support.h"

namespace cajal::data {
namespace {

const std::vector<std::string> kLetters = {"x", "x", "x", "a", "b", "c"};

std::string random_word(test::Random& random, std::size_t length) {
  std::string word;
  for (std::size_t i = 0; i < length; ++i) word += random.pick(kLetters);
  return word;
}

BpeVocabulary learn_from_random_words(test::Random& random, std::size_t vocab_size) {
  WordCounter words;
  for (int i = 0; i < 300; ++i) words.add(random_word(random, 1 + random.below(40)));
  return learn_bpe(words.sorted(), vocab_size, {}, {});
}

/// Looks through all merges for the first that applies, again and again.
std::vector<TokenId> reference(const BpeVocabulary& vocabulary, std::string_view word) {
  std::vector<TokenId> ids;
  for (const char c : word) ids.push_back(vocabulary.byte_ids[static_cast<unsigned char>(c)]);
  for (bool merged = true; merged;) {
    merged = false;
    for (const Merge& merge : vocabulary.merges) {
      for (std::size_t i = 0; i + 1 < ids.size() && !merged; ++i) {
        if (ids[i] != merge.left || ids[i + 1] != merge.right) continue;
        ids[i] = merge.result;
        ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        merged = true;
      }
      if (merged) break;
    }
  }
  return ids;
}

std::vector<TokenId> encode(WordEncoder& encoder, const std::string& word) {
  std::vector<TokenId> ids;
  encoder.append(word, word.data() + word.size(), ids);
  return ids;
}

TEST(WordEncoder, AgreesWithASlowReferenceAtEveryLength) {
  test::Random random;
  const BpeModel model(learn_from_random_words(random, 330));
  WordEncoder encoder(model, 64);
  for (std::size_t length = 1; length < 120; ++length) {
    for (int trial = 0; trial < 3; ++trial) {
      const std::string word = random_word(random, length);
      const auto expected = reference(model.vocabulary, word);
      ASSERT_EQ(encode(encoder, word), expected) << word;
      ASSERT_EQ(encode(encoder, word), expected) << "from memory: " << word;
    }
  }
}

TEST(WordEncoder, TakesMergesInAnyOrder) {
  test::Random random;
  for (int trial = 0; trial < 20; ++trial) {
    BpeVocabulary vocabulary = learn_from_random_words(random, 300);
    for (std::size_t i = vocabulary.merges.size(); i > 1; --i) {
      std::swap(vocabulary.merges[i - 1], vocabulary.merges[random.below(i)]);
    }
    const BpeModel model(std::move(vocabulary));
    WordEncoder encoder(model, 64);
    for (const std::size_t length : {5, 30, 48, 49, 90}) {
      const std::string word = random_word(random, length);
      ASSERT_EQ(encode(encoder, word), reference(model.vocabulary, word)) << word;
    }
  }
}

TEST(WordEncoder, TellsWordsWithNulBytesApart) {
  test::Random random;
  const BpeModel model(learn_from_random_words(random, 300));
  WordEncoder encoder(model, 2);
  for (std::size_t nuls = 1; nuls < 20; ++nuls) {
    EXPECT_EQ(encode(encoder, "a" + std::string(nuls, '\0')).size(), nuls + 1);
    EXPECT_EQ(encode(encoder, std::string(nuls, '\0')).size(), nuls);
  }
}

TEST(WordEncoder, ReadsNothingBeyondTheWord) {
  test::Random random;
  const BpeModel model(learn_from_random_words(random, 330));
  WordEncoder encoder(model, 256);
  const std::string text = random_word(random, 64);
  for (std::size_t begin = 0; begin < text.size(); ++begin) {
    for (std::size_t size = 1; size <= 20 && begin + size <= text.size(); ++size) {
      const std::string_view word = std::string_view(text).substr(begin, size);
      std::vector<TokenId> ids;
      encoder.append(word, text.data() + text.size(), ids);
      ASSERT_EQ(ids, reference(model.vocabulary, word)) << word;
    }
  }
}

}  // namespace
}  // namespace cajal::data
