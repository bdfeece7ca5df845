#include "data/corpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <string>
#include <tuple>

#include "cajal/error.h"
#include "data/utf8.h"
#include "shard_support.h"
#include "support.h"

namespace cajal::data {
namespace {

using test::TemporaryDirectory;
using test::write_file;
using testing::EndsWith;
using testing::HasSubstr;

std::string all_text(const Corpus& corpus, std::size_t piece_bytes = 1 << 20) {
  std::string text;
  corpus.for_each(
      [&](std::string_view piece, bool last) {
        EXPECT_LE(piece.size(), 3 * std::max<std::size_t>(piece_bytes, 4)) << "U+FFFD has 3";
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

TEST(Corpus, ReplacesABadByteAndSaysWhere) {
  const TemporaryDirectory dir;
  std::string line = "a line of text\n";
  std::string text;
  while (text.size() < std::size_t{3} << 20) text += line;
  const auto lines = static_cast<std::int64_t>(text.size() / line.size());
  write_file(dir / "long", text + "\xFF" + text);
  write_file(dir / "more", text + "\xE3\x81 \xE3\x81" + std::string(1, '\0') + text);
  const Corpus corpus = Corpus::open({dir.path()});
  std::string read;
  const CorpusStats stats = corpus.for_each([&](std::string_view piece, bool) { read += piece; });
  EXPECT_TRUE(read == text + "\uFFFD" + text + text + "\uFFFD \uFFFD\uFFFD" + text);
  EXPECT_EQ(stats.bytes, corpus.stats().bytes);
  EXPECT_EQ(stats.repaired_files, 2);
  EXPECT_EQ(stats.repaired_bytes, 6);
  EXPECT_EQ(stats.cut_short, 0);
  ASSERT_EQ(stats.notes.size(), 2U);
  EXPECT_THAT(stats.notes[0],
              EndsWith(fmt::format("long: 1 invalid byte at line {} replaced", lines + 1)));
  EXPECT_THAT(
      stats.notes[1],
      EndsWith(fmt::format("more: 5 invalid bytes replaced, the first at line {}", lines + 1)));
}

TEST(Corpus, LeavesOutByteOrderMarks) {
  const TemporaryDirectory dir;
  write_file(dir / "a", "\uFEFFone\uFEFF");
  write_file(dir / "b", "\uFEFF");
  const Corpus corpus = Corpus::open({dir.path()});
  for (const std::size_t piece : {1, 5, 100}) EXPECT_EQ(all_text(corpus, piece), "one\uFEFF||");
}

/// Any bytes, cut at any place, give the same text and counts.
TEST(Corpus, RepairsTheSameInPiecesOfAnySize) {
  test::Random random;
  const TemporaryDirectory dir;
  std::string text = std::string(200'000, 'a');
  for (int i = 0; i < 300; ++i) {
    text += random.text(3) + "日本🙂é";
    // The beginnings of characters, and bytes that begin none.
    text += random.pick<std::string>({"\xC3", "\xE3\x81", "\xF0\x9F\x99", "\x80", "\xFF",
                                      "\xE0\x80", "\xF4\x90\x80\x80", "\xED\xA0\x80", ""});
    if (random.below(4) == 0) text += '\n';
  }
  text += random.pick<std::string>({"\xF0\x9F\x99", "\xE3", "x"});
  std::erase(text, '\0');
  write_file(dir / "text", text);
  const Corpus corpus = Corpus::open({dir.path()});
  const auto read = [&](std::size_t piece) {
    std::string all;
    const CorpusStats stats = corpus.for_each(
        [&](std::string_view part, bool) {
          EXPECT_TRUE(is_utf8(part));
          all += part;
        },
        piece);
    return std::make_tuple(std::move(all), stats.repaired_bytes, stats.notes);
  };
  const auto whole = read(text.size() + 1);
  EXPECT_GT(std::get<1>(whole), 100);
  for (const std::size_t piece : {4, 5, 6, 7, 64, 1000}) EXPECT_TRUE(read(piece) == whole) << piece;
}

TEST(Corpus, PassesOverRunsAndHiddenFilesAndCountsThem) {
  const TemporaryDirectory dir;
  write_file(dir / "text", "yes|");
  write_file(dir / ".git/config", "no");
  write_file(dir / ".hidden", "no");
  write_file(dir / "new/.cajal-run", "no");
  write_file(dir / "new/config.json", "no");
  write_file(dir / "old/checkpoint-5/trainer_state.json", "no");
  write_file(dir / "old/metrics.jsonl", "no");
  std::filesystem::create_directory_symlink("checkpoint-5", dir / "old/latest");
  write_file(dir / "other/latest", "yes|");
  write_file(dir / "other/checkpoint-1/notes", "yes|");
  const Corpus corpus = Corpus::open({dir.path()});
  EXPECT_EQ(all_text(corpus), "yes||yes||yes||");
  EXPECT_EQ(corpus.stats().skipped_hidden, 2);
  EXPECT_EQ(corpus.stats().skipped_runs, 2);
  EXPECT_EQ(describe_skipped(corpus.stats()), "2 hidden, 2 run directories");
}

TEST(Corpus, ReadsTheTextBesideARunsOwnFiles) {
  const TemporaryDirectory dir;
  write_file(dir / ".cajal-run", "no");
  write_file(dir / "metrics.jsonl", "no");
  write_file(dir / "checkpoint-7/config.json", "no");
  write_file(dir / "tokens/source.json", "no");
  write_file(dir / "text", "yes");
  write_file(dir / "deeper/metrics.jsonl", "yes too");
  const Corpus corpus = Corpus::open({dir.path()});
  EXPECT_EQ(all_text(corpus), "yes too|yes|");
  EXPECT_EQ(corpus.stats().skipped_runs, 1);
}

TEST(Corpus, TellsShardsFromText) {
  const TemporaryDirectory dir;
  write_file(dir / "a.bin", test::make_shard({1, 2, 3}));
  EXPECT_EQ(Corpus::open_text_or_shards({dir.path()}).shards().size(), 1U);
  EXPECT_THAT(error_of({dir.path()}), HasSubstr("no text found under"));
  EXPECT_THAT(error_of({dir.path()}), HasSubstr("1 token shard"));
  write_file(dir / "b.bin", "text of that name");
  const Corpus corpus = Corpus::open({dir.path()});
  EXPECT_EQ(all_text(corpus), "text of that name|");
  EXPECT_EQ(corpus.stats().skipped_shards, 1);
}

TEST(Corpus, SaysHowToConvertOtherEncodings) {
  const TemporaryDirectory dir;
  const auto found = [&](std::string_view bytes) {
    write_file(dir / "file", bytes);
    return error_of({dir.path()});
  };
  using namespace std::string_view_literals;
  EXPECT_THAT(found("\xFF\xFEh\0i\0"sv), HasSubstr("iconv -f UTF-16 -t UTF-8"));
  EXPECT_THAT(found("h\0e\0l\0l\0o\0"sv), HasSubstr("iconv -f UTF-16 -t UTF-8"));
  EXPECT_THAT(found("\0h\0e\0l\0l\0o"sv), HasSubstr("iconv -f UTF-16 -t UTF-8"));
  EXPECT_THAT(found("\xFF\xFE\0\0h\0\0\0"sv), HasSubstr("iconv -f UTF-32 -t UTF-8"));
  EXPECT_THAT(found("Gr\xF6\xDF"
                    "e und sch\xF6ne Gr\xFC\xDF"
                    "e"),
              HasSubstr("file looks like Latin-1"));
  EXPECT_THAT(found("\x93\xFA\x96\x7B\x8C\xEA"), HasSubstr("is not UTF-8"));
}

TEST(Corpus, KnowsBinaryFilesByTheirBeginning) {
  const TemporaryDirectory dir;
  for (const char* begin :
       {"%PDF-1.7\n", "\x89PNG\r\n", "\xFF\xD8\xFF\xE1", "\x1F\x8B\x08", "PK\3\4"}) {
    write_file(dir / "file", std::string(begin) + " and nothing else but text");
    EXPECT_THAT(error_of({dir.path()}), HasSubstr("1 binary")) << begin;
  }
  std::string text;
  while (text.size() < std::size_t{2} << 20) text += "text\n";
  test::Random random;
  write_file(dir / "file", text + random.bytes(std::size_t{8} << 20));
  EXPECT_THAT(error_of({dir.path()}), HasSubstr("1 binary"));
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
