#include "data/token_shard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cajal/error.h"
#include "data/corpus.h"
#include "shard_support.h"
#include "support.h"

namespace cajal::data {
namespace {

using test::make_shard;
using test::TemporaryDirectory;
using test::write_file;
using testing::ElementsAre;
using testing::HasSubstr;

std::string error_of(const std::filesystem::path& path) {
  try {
    const TokenShard shard(path);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

Tokenizer train(const Corpus& corpus, int vocab_size = 300) {
  BpeOptions options;
  options.vocab_size = vocab_size;
  return Tokenizer::train(corpus, options);
}

std::vector<TokenId> join(const std::vector<std::filesystem::path>& paths) {
  std::vector<TokenId> tokens;
  for (const auto& path : paths) {
    const auto shard = TokenShard(path).all();
    tokens.insert(tokens.end(), shard.begin(), shard.end());
  }
  return tokens;
}

TEST(TokenShard, HoldsWhatWasWritten) {
  const TemporaryDirectory dir;
  const TokenShard shard(write_file(dir / "s.bin", make_shard({7, 0, 65535})));
  EXPECT_THAT(shard.all(), ElementsAre(7, 0, 65535));
  EXPECT_EQ(shard.file(), dir / "s.bin");
  EXPECT_TRUE(TokenShard(write_file(dir / "e.bin", make_shard({}))).all().empty());
}

TEST(TokenShard, OutlivesItsCopies) {
  const TemporaryDirectory dir;
  std::optional<TokenShard> first(std::in_place, write_file(dir / "s.bin", make_shard({1, 2})));
  const TokenShard second = *first;
  first.reset();
  EXPECT_THAT(second.all(), ElementsAre(1, 2));
}

TEST(TokenShard, RefusesWhatIsNotOne) {
  const TemporaryDirectory dir;
  const std::string good = make_shard({1, 2, 3, 4});
  const auto with = [&](std::size_t field, std::int32_t value) {
    std::string bytes = good;
    std::memcpy(bytes.data() + field * sizeof value, &value, sizeof value);
    return error_of(write_file(dir / "s.bin", bytes));
  };
  EXPECT_THAT(with(0, 20240801), HasSubstr("is not a token shard"));
  EXPECT_THAT(with(1, 7), HasSubstr("version 7"));
  EXPECT_THAT(with(2, 5), HasSubstr("claims 5 tokens and holds 8 bytes"));
  EXPECT_THAT(with(2, 3), HasSubstr("claims 3"));
  EXPECT_THAT(with(2, -1), HasSubstr("claims -1"));
  EXPECT_THAT(with(2, 2147483647), HasSubstr("claims 2147483647"));
  for (const std::size_t size : {std::size_t{0}, std::size_t{3}, std::size_t{1023}}) {
    EXPECT_THAT(error_of(write_file(dir / "s.bin", good.substr(0, size))), HasSubstr("too short"));
  }
  EXPECT_THAT(error_of(write_file(dir / "s.bin", good.substr(0, good.size() - 1))),
              HasSubstr("claims 4"));
  EXPECT_THAT(error_of(dir / "missing.bin"), HasSubstr("cannot open"));
  EXPECT_THAT(error_of(dir.path()), HasSubstr("is not a file"));
}

TEST(WriteShards, EndsEveryFileWithEndOfText) {
  const TemporaryDirectory dir;
  write_file(dir / "text/a", "one two one two\n");
  write_file(dir / "text/b", "three");
  const Corpus corpus = Corpus::open({dir / "text"});
  const Tokenizer tokenizer = train(corpus);
  const auto paths = write_shards(corpus, tokenizer, dir / "deep/shards", {}).files;
  EXPECT_THAT(paths, ElementsAre(dir / "deep/shards/tokens_000000.bin"));
  EXPECT_EQ(tokenizer.decode(join(paths)), "one two one two\n<|endoftext|>three<|endoftext|>");
}

TEST(WriteShards, MarksTheEndOfAFileOnce) {
  const TemporaryDirectory dir;
  write_file(dir / "a", "one<|endoftext|>two<|endoftext|>");
  write_file(dir / "b", "three<|endoftext|>\n \n");
  write_file(dir / "c", "four<|endoftext|>.");
  write_file(dir / "d", "<|endoftext|>");
  write_file(dir / "e", "\n");
  // White space alone in the last chunk, the token in the one before.
  write_file(dir / "f", std::string(150'000, 'x') + "<|endoftext|>" + std::string(200'000, '\n'));
  const Corpus corpus = Corpus::open({dir.path()});
  const Tokenizer tokenizer = train(corpus);
  const auto written = write_shards(corpus, tokenizer, dir / "shards", {});
  const auto tokens = join(written.files);
  const std::string text = tokenizer.decode(tokens);
  EXPECT_TRUE(
      text.starts_with("one<|endoftext|>two<|endoftext|>three<|endoftext|>\n \n"
                       "four<|endoftext|>.<|endoftext|><|endoftext|>\n<|endoftext|>xxx"));
  EXPECT_TRUE(text.ends_with("x<|endoftext|>" + std::string(200'000, '\n')));
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), *tokenizer.end_of_text()), 8);

  EncodeOptions options;
  options.parse_special = false;
  const auto plain = join(write_shards(corpus, tokenizer, dir / "shards", options).files);
  EXPECT_EQ(std::count(plain.begin(), plain.end(), *tokenizer.end_of_text()), 6);
}

/// Encoded in chunks on several threads a file has the tokens of the whole, with added tokens that
/// swallow the white space at which chunks are cut.
TEST(WriteShards, NeverCutsAddedTokens) {
  const TemporaryDirectory dir;
  test::Random random;
  nlohmann::json file = nlohmann::json::parse(
      test::read_file(std::filesystem::path(CAJAL_TEST_GOLDEN_DIR) / "tokenizer.json"));
  nlohmann::json token = file["added_tokens"][0];
  for (const char* content : {"<|end|>", "two words", "<|b|>"}) {
    token["content"] = content;
    token["id"] = token["id"].get<int>() + (token["id"] == 0 ? 420 : 1);
    token["rstrip"] = true;
    token["lstrip"] = content == std::string("<|b|>");
    file["added_tokens"].push_back(token);
  }
  write_file(dir / "tokenizer.json", file.dump());
  const Tokenizer tokenizer = Tokenizer::load(dir / "tokenizer.json");
  std::string text;
  while (text.size() < 900'000) {
    text +=
        random.pick<std::string>({"<|end|>\n", "two words", " some", "\n", " ", "<|b|>", "two"});
  }
  write_file(dir / "text/a", text);
  auto expected = tokenizer.encode(text);
  expected.push_back(*tokenizer.end_of_text());
  EncodeOptions options;
  options.threads = 3;
  const auto written =
      write_shards(Corpus::open({dir / "text"}), tokenizer, dir / "shards", options);
  EXPECT_TRUE(join(written.files) == expected);
}

TEST(WriteShards, DoesNotDependOnThreadsOrShardSize) {
  const TemporaryDirectory dir;
  test::Random random;
  std::vector<std::string> texts;
  for (int file = 0; file < 6; ++file) {
    texts.push_back(random.text(40'000));
    std::erase(texts.back(), '\0');
    write_file(dir / fmt::format("text/{}", file), texts.back());
  }
  const Corpus corpus = Corpus::open({dir / "text"});
  const Tokenizer tokenizer = train(corpus);
  std::vector<TokenId> expected;
  for (const std::string& text : texts) {
    const auto ids = tokenizer.encode(text);
    expected.insert(expected.end(), ids.begin(), ids.end());
    expected.push_back(*tokenizer.end_of_text());
  }
  for (const int threads : {1, 2, 5}) {
    for (const std::int64_t shard_tokens : {std::int64_t{10'007}, std::int64_t{1} << 30}) {
      EncodeOptions options;
      options.threads = threads;
      options.shard_tokens = shard_tokens;
      const auto paths = write_shards(corpus, tokenizer, dir / "shards", options).files;
      ASSERT_EQ(join(paths), expected) << threads << " threads, shards of " << shard_tokens;
      std::size_t files = 0;
      for (const auto& entry : std::filesystem::directory_iterator(dir / "shards")) {
        EXPECT_EQ(entry.path().extension(), ".bin");
        ++files;
      }
      EXPECT_EQ(files, paths.size()) << "what a longer set left is gone";
    }
  }
}

TEST(WriteShards, LeavesNothingBehindWhenItFails) {
  const TemporaryDirectory dir;
  write_file(dir / "text", "some text\n");
  const Corpus corpus = Corpus::open({dir / "text"});
  const Tokenizer tokenizer = train(corpus);
  EncodeOptions options;
  options.shard_tokens = 2;
  options.progress = [](double) { throw Error("stopped"); };
  EXPECT_THROW(write_shards(corpus, tokenizer, dir / "shards", options), Error);
  EXPECT_TRUE(std::filesystem::is_empty(dir / "shards"));
  write_file(dir / "file", "in the way");
  EXPECT_THROW(write_shards(corpus, tokenizer, dir / "file/shards", {}), Error);
}

TEST(WriteShards, RefusesWhatCannotBe) {
  const TemporaryDirectory dir;
  write_file(dir / "text", "some text\n");
  const Corpus corpus = Corpus::open({dir / "text"});
  EncodeOptions options;
  options.shard_tokens = 0;
  EXPECT_THROW(write_shards(corpus, train(corpus), dir / "s", options), InvalidArgument);
  BpeOptions bare;
  bare.special_tokens = {};
  EXPECT_THROW(write_shards(corpus, Tokenizer::train(corpus, bare), dir / "s", {}),
               InvalidArgument);
}

std::int64_t peak_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return std::int64_t{usage.ru_maxrss} * 1024;  // Kilobytes on Linux; macOS counts bytes already.
}

TEST(WriteShards, NeedsNoMoreMemoryForMoreText) {
  const TemporaryDirectory dir;
  test::Random random;
  std::string block = random.text(300'000);
  std::erase(block, '\0');
  std::string text;
  while (text.size() < std::size_t{8} << 20) text += block + "\n";
  write_file(dir / "small", text);
  {
    std::ofstream large(dir / "large", std::ios::binary);
    for (int i = 0; i < 12; ++i) large << text;
  }
  const Corpus small = Corpus::open({dir / "small"});
  const Tokenizer tokenizer = train(small);
  EncodeOptions options;
  options.threads = 2;
  write_shards(small, tokenizer, dir / "shards", options);
  write_shards(small, tokenizer, dir / "shards", options);
  const std::int64_t before = peak_bytes();
  write_shards(Corpus::open({dir / "large"}), tokenizer, dir / "shards", options);
  EXPECT_LT(peak_bytes() - before, std::int64_t{48} << 20) << "for 100 MB of text";
}

}  // namespace
}  // namespace cajal::data
