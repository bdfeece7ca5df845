#include "train/training_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <string>

#include "cajal/error.h"
#include "temporary_directory.h"
#include "train/durable_file.h"
#include "train/run_directory.h"

namespace cajal::train {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

void write(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

void write_shard(const fs::path& path, std::size_t count, std::uint16_t first) {
  std::string bytes(1024, '\0');
  const std::int32_t header[3] = {20240520, 1, static_cast<std::int32_t>(count)};
  std::memcpy(bytes.data(), header, sizeof header);
  for (std::size_t i = 0; i < count; ++i) {
    const auto token = static_cast<std::uint16_t>(first + i * 7 % 1000);
    bytes.append(reinterpret_cast<const char*>(&token), sizeof token);
  }
  write(path, bytes);
}

class TrainingText : public testing::Test {
 protected:
  TrainingText() {
    for (int i = 0; i < 3; ++i) {
      write(text_ / std::to_string(i), "one and two and three and so on\n");
    }
    settings_.data = {text_.string()};
    settings_.vocab_size = 260;
  }

  /// Encodes as a run does.
  data::CorpusStats encode() {
    TextSource source = TextSource::open(settings_);
    const StageProgress progress = [](std::string_view, double) {};
    const auto tokenizer = source.train_tokenizer(settings_, 1, progress);
    source.shards(directory_, settings_, &tokenizer, 1, progress);
    return source.stats();
  }

  TextSource::Encoded encoded() const { return TextSource::encoded_in(run_, settings_); }

  TemporaryDirectory dir_;
  fs::path text_ = dir_.path() / "text";
  fs::path run_ = dir_.path() / "run";
  RunDirectory directory_{run_, RunDirectory::Use::begin};
  Settings settings_;
};

TEST_F(TrainingText, FindsTokensOfTheSameTextAgain) {
  EXPECT_FALSE(encoded().source);
  encode();
  const auto again = encoded();
  ASSERT_TRUE(again.source);
  EXPECT_EQ(again.message, "");
  EXPECT_FALSE(again.source->is_text());
  EXPECT_EQ(again.source->stats().files, 3);
  EXPECT_EQ(again.source->stats().bytes, 3 * 32);
  EXPECT_EQ(again.source->fingerprint().size(), 16U);
  settings_.parse_special = false;
  EXPECT_FALSE(encoded().source) << "would be other tokens";
}

TEST_F(TrainingText, SaysWhichTextHasChanged) {
  encode();
  write(text_ / "1", "one and two and three and so ON\n");
  fs::last_write_time(text_ / "1", fs::file_time_type::clock::now() + std::chrono::seconds(5));
  EXPECT_FALSE(encoded().source);
  EXPECT_EQ(encoded().message, "1 of 3 files has changed");
  write(text_ / "2", "longer than it was: one and two and three and so on\n");
  write(text_ / "3", "new");
  EXPECT_EQ(encoded().message, "2 of 3 files have changed, 1 file is new");
  fs::remove(text_ / "0");
  EXPECT_EQ(encoded().message, "2 of 3 files have changed, 1 is gone, 1 file is new");
  encode();
  EXPECT_TRUE(encoded().source);
  EXPECT_EQ(encoded().message, "");
}

TEST_F(TrainingText, MindsContentsAndNotTimes) {
  encode();
  fs::last_write_time(text_ / "1", fs::file_time_type::clock::now() + std::chrono::hours(1));
  EXPECT_TRUE(encoded().source);
  EXPECT_EQ(encoded().message, "");
}

TEST_F(TrainingText, ReadsTheTokensOfTextThatIsGone) {
  encode();
  fs::remove_all(text_);
  EXPECT_TRUE(encoded().source);
  EXPECT_THAT(encoded().message, HasSubstr("text does not exist"));
  EXPECT_THAT(encoded().message, HasSubstr("the tokens made from it earlier are read"));
}

TEST_F(TrainingText, DoesNotReadDamagedTokens) {
  encode();
  const fs::path shard = run_ / "tokens/tokens_000000.bin";
  std::fstream file(shard, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(1026);
  file.put('\x7F');
  file.close();
  EXPECT_FALSE(encoded().source);
  EXPECT_THAT(encoded().message, HasSubstr("tokens_000000.bin"));
}

TEST_F(TrainingText, LeavesAFolderThatIsNotItsOwn) {
  encode();
  write(run_ / "tokens/mine.txt", "mine");
  EXPECT_THROW(encode(), InvalidArgument);
  EXPECT_EQ(read_file(run_ / "tokens/mine.txt"), "mine");
}

TEST_F(TrainingText, CountsWhatWasReallyRead) {
  write(text_ / "bad", std::string(2000, 'x') + "\xFF" + std::string(2000, 'x'));
  const auto stats = encode();
  EXPECT_EQ(stats.files, 4);
  EXPECT_EQ(stats.repaired_bytes, 1);
  EXPECT_EQ(encoded().source->stats().repaired_bytes, 1);
}

TEST_F(TrainingText, RecognizesAFolderOfShards) {
  const fs::path shards = dir_.path() / "shards";
  write_shard(shards / "b.bin", 100, 0);
  write_shard(shards / "deeper/a.bin", 100, 0);
  settings_.data = {shards.string()};
  const TextSource source = TextSource::open(settings_);
  EXPECT_FALSE(source.is_text());
  EXPECT_EQ(source.fingerprint().size(), 16U);

  write(shards / "README", "text");
  try {
    TextSource::open(settings_);
    FAIL();
  } catch (const InvalidArgument& error) {
    EXPECT_THAT(error.what(), HasSubstr("cannot be mixed"));
    EXPECT_THAT(error.what(), HasSubstr("b.bin and 1 more"));
    EXPECT_THAT(error.what(), HasSubstr("README"));
  }
  settings_.data = {(shards / "b.bin").string(), text_.string()};
  EXPECT_THROW(TextSource::open(settings_), InvalidArgument);
}

TEST_F(TrainingText, FingerprintIsOfTheTokensAlone) {
  const auto print = [&](const fs::path& path) {
    settings_.data = {path.string()};
    return TextSource::open(settings_).fingerprint();
  };
  const fs::path a = dir_.path() / "a.bin";
  write_shard(a, 100'000, 0);
  const std::string before = print(a);
  EXPECT_EQ(print(a), before);
  fs::create_directories(dir_.path() / "moved");
  fs::rename(a, dir_.path() / "moved/other.bin");
  EXPECT_EQ(print(dir_.path() / "moved/other.bin"), before);
  write_shard(a, 100'000, 1);
  EXPECT_NE(print(a), before);
  write_shard(a, 99'999, 0);
  EXPECT_NE(print(a), before);
  write_shard(a, 0, 0);
  EXPECT_NE(print(a), before);
}

}  // namespace
}  // namespace cajal::train
