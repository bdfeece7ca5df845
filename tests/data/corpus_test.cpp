#include "data/corpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <string>

#include "cajal/error.h"
#include "data/utf8.h"
#include "support.h"

namespace cajal::data {
namespace {

using test::TemporaryDirectory;
using test::write_file;
using testing::HasSubstr;

std::string all_text(const Corpus& corpus, std::size_t piece_bytes = 1 << 20) {
  std::string text;
  corpus.for_each(
      [&](std::string_view piece, bool last) {
        EXPECT_LE(piece.size(), std::max<std::size_t>(piece_bytes, 4));
        EXPECT_TRUE(is_utf8(piece));
        text += piece;
        if (last) text += '|';
      },
      piece_bytes);
  return text;
}

std::string error_of(const std::vector<std::filesystem::path>& paths) {
  try {
    Corpus::open(paths);
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return {};
}

TEST(Corpus, ReadsFilesInTheOrderOfTheirPathsOnce) {
  const TemporaryDirectory dir;
  write_file(dir / "b.txt", "second");
  write_file(dir / "a/z", "first");
  write_file(dir / "c", "third");
  write_file(dir / ".git/config", "hidden");
  const Corpus corpus = Corpus::open({dir / "c", dir.path(), dir / "b.txt"});
  EXPECT_EQ(all_text(corpus), "first|second|third|");
  EXPECT_EQ(corpus.stats().files, 3);
  EXPECT_EQ(corpus.stats().bytes, 16);
}

TEST(Corpus, SkipsAndCountsWhatIsNoText) {
  const TemporaryDirectory dir;
  write_file(dir / "text", "déjà vu\n");
  write_file(dir / "binary", std::string("a\0b", 3));
  write_file(dir / "latin1", "caf\xE9 noir");
  write_file(dir / "cut", "caf\xC3");
  write_file(dir / "empty", "");
  const Corpus corpus = Corpus::open({dir.path()});
  EXPECT_EQ(corpus.stats().files, 1);
  EXPECT_EQ(corpus.stats().skipped_binary, 1);
  EXPECT_EQ(corpus.stats().skipped_invalid, 2);
  EXPECT_EQ(all_text(corpus), "déjà vu\n|");
}

TEST(Corpus, SkipsUnreadableFiles) {
  if (::geteuid() == 0) GTEST_SKIP() << "the superuser may read everything";
  const TemporaryDirectory dir;
  write_file(dir / "text", "yes");
  std::filesystem::permissions(write_file(dir / "secret", "no"), std::filesystem::perms::none);
  EXPECT_EQ(Corpus::open({dir.path()}).stats().skipped_unreadable, 1);
}

TEST(Corpus, EndsAFileThatGoesAwayAfterOpening) {
  const TemporaryDirectory dir;
  write_file(dir / "a", "gone");
  write_file(dir / "b", "here");
  const Corpus corpus = Corpus::open({dir.path()});
  std::filesystem::remove(dir / "a");
  CorpusStats stats;
  std::string text;
  stats = corpus.for_each([&](std::string_view piece, bool last) {
    text += piece;
    if (last) text += '|';
  });
  EXPECT_EQ(text, "|here|");
  EXPECT_EQ(stats.cut_short, 1);
}

TEST(Corpus, EndsALongFileBeforeThePieceThatIsNoText) {
  const TemporaryDirectory dir;
  std::string text;
  while (text.size() < std::size_t{3} << 20) text += "a line of text\n";
  write_file(dir / "long", text + "\xFF" + text);
  const Corpus corpus = Corpus::open({dir.path()});
  std::size_t bytes = 0;
  int ends = 0;
  const CorpusStats stats = corpus.for_each(
      [&](std::string_view piece, bool last) {
        bytes += piece.size();
        ends += last ? 1 : 0;
      },
      std::size_t{1} << 20);
  EXPECT_EQ(stats.cut_short, 1);
  EXPECT_EQ(ends, 1);
  EXPECT_GT(bytes, std::size_t{1} << 20);
  EXPECT_LE(bytes, text.size());
}

TEST(Corpus, DoesNotFollowLinksToDirectories) {
  const TemporaryDirectory dir;
  write_file(dir / "tree/text", "once");
  std::filesystem::create_directory_symlink(dir / "tree", dir / "tree/loop");
  const Corpus corpus = Corpus::open({dir.path()});
  EXPECT_EQ(all_text(corpus), "once|");
}

TEST(Corpus, SaysWhatIsWrongWithAPath) {
  const TemporaryDirectory dir;
  EXPECT_THAT(error_of({dir / "missing"}), HasSubstr("missing does not exist"));
  EXPECT_THAT(error_of({}), HasSubstr("no text was named"));
  EXPECT_THAT(error_of({dir.path()}), HasSubstr("no text found"));
  write_file(dir / "binary", std::string(1, '\0'));
  EXPECT_THAT(error_of({dir.path()}), HasSubstr("1 binary"));
  EXPECT_THAT(error_of({"/dev/null"}), HasSubstr("neither a file nor a directory"));
}

TEST(Corpus, PiecesOfAnySizeJoinToTheText) {
  test::Random random;
  const TemporaryDirectory dir;
  std::string text = random.text(2000);
  std::erase(text, '\0');
  write_file(dir / "text", text);
  const Corpus corpus = Corpus::open({dir.path()});
  for (const std::size_t piece : {1, 4, 5, 7, 64, 1000}) {
    EXPECT_EQ(all_text(corpus, piece), text + "|") << "piece " << piece;
  }
  EXPECT_EQ(all_text(corpus, text.size()), text + "|");
}

TEST(Corpus, PassesOnWhatTheVisitorThrows) {
  const TemporaryDirectory dir;
  write_file(dir / "a", "text");
  const Corpus corpus = Corpus::open({dir.path()});
  const auto visit = [](std::string_view, bool) { throw Error("the visitor's own"); };
  EXPECT_THROW(corpus.for_each(visit), Error);
  EXPECT_THROW(corpus.for_each_sample(1, visit), Error);
}

TEST(Corpus, SamplesWholeLinesFromEverywhere) {
  const TemporaryDirectory dir;
  std::string text;
  for (int line = 0; text.size() < std::size_t{10} << 20; ++line)
    text += fmt::format("line {}\n", line);
  write_file(dir / "long", text);
  const Corpus corpus = Corpus::open({dir.path()});
  std::size_t bytes = 0;
  std::set<std::size_t> tenths;
  corpus.for_each_sample(std::int64_t{3} << 20, [&](std::string_view piece, bool) {
    bytes += piece.size();
    ASSERT_TRUE(piece.starts_with("line "));
    const std::size_t at = text.find(piece.substr(0, piece.find('\n') + 1));
    tenths.insert(at * 10 / text.size());
  });
  EXPECT_NEAR(static_cast<double>(bytes), 3e6, 1.2e6);
  EXPECT_GE(tenths.size(), 3U);
  EXPECT_GE(*tenths.rbegin(), 6U);
}

TEST(Corpus, FindsTheStandardLibrarysHeaders) {
  const auto paths = Corpus::default_paths();
  ASSERT_EQ(paths.size(), 1U);
  EXPECT_GT(Corpus::open(paths).stats().bytes, 1'000'000);
}

}  // namespace
}  // namespace cajal::data
