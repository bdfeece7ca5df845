#include "train/manifest.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cajal/error.h"
#include "temporary_directory.h"

namespace cajal::train {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

template <class Function>
std::string problem_of(Function function) {
  try {
    function();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

// What xxHash's own tools give for these inputs (XXH3_64bits, seed 0).
TEST(Hasher, GivesThePublishedValues) {
  EXPECT_EQ(Hasher().value(), 0x2D06800538D394C2U);
  Hasher abc;
  abc.update(bytes_of("abc"));
  EXPECT_EQ(abc.value(), 0x78AF5F94892F3950U);
  EXPECT_EQ(abc.bytes(), 3U);
}

TEST(Hasher, TakesPiecesOfAnySize) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += static_cast<char>(i * 31 % 251);
  Hasher whole;
  whole.update(bytes_of(text));
  for (const std::size_t piece : {1U, 7U, 255U, 256U, 1024U}) {
    Hasher pieces;
    for (std::size_t at = 0; at < text.size(); at += piece) {
      pieces.update(bytes_of(std::string_view(text).substr(at, piece)));
    }
    EXPECT_EQ(pieces.value(), whole.value()) << piece;
  }
}

void fill(const fs::path& folder) {
  fs::create_directories(folder);
  put(folder / "b.bin", "abc");
  put(folder / "a.json", "");
  write_manifest(folder, {hash_folder(folder), 2.5});
}

TEST(Manifest, ListsEveryFileAndComesBackAsItWas) {
  const TemporaryDirectory temporary;
  fill(temporary.path());
  const Manifest manifest = read_manifest(temporary.path()).value();
  EXPECT_THAT(manifest.files, ElementsAre(ManifestEntry{"a.json", 0, 0x2D06800538D394C2U},
                                          ManifestEntry{"b.bin", 3, 0x78AF5F94892F3950U}));
  EXPECT_EQ(manifest.validation_loss, 2.5);
  EXPECT_EQ(manifest.bytes(), 3U);
  EXPECT_EQ(manifest.find("b.bin")->bytes, 3U);
  EXPECT_EQ(manifest.find("c.bin"), nullptr);
  verify(temporary.path());
  EXPECT_EQ(read_manifest(temporary / "none"), std::nullopt);
}

TEST(Manifest, KnownChecksumsAreNotReckonedAgain) {
  const TemporaryDirectory temporary;
  put(temporary / "a", "abc");
  put(temporary / "b", "abc");
  const auto entries = hash_folder(temporary.path(), {{"a", 3, 7}, {"b", 4, 7}, {"gone", 1, 1}});
  EXPECT_THAT(entries,
              ElementsAre(ManifestEntry{"a", 3, 7}, ManifestEntry{"b", 3, 0x78AF5F94892F3950U}));
}

TEST(Manifest, ListsOnlyPlainFiles) {
  const TemporaryDirectory temporary;
  fs::create_directory(temporary / "sub");
  EXPECT_THAT(problem_of([&] { hash_folder(temporary.path()); }),
              HasSubstr("sub is no plain file"));
  fs::remove(temporary / "sub");
  fs::create_symlink("elsewhere", temporary / "link");
  EXPECT_THAT(problem_of([&] { hash_folder(temporary.path()); }), HasSubstr("link is no plain"));
}

TEST(Manifest, NamesWhatIsMissingCutOrChanged) {
  const TemporaryDirectory temporary;
  const fs::path folder = temporary / "checkpoint-1";
  fill(folder);
  put(folder / "b.bin", "abd");
  EXPECT_THAT(problem_of([&] { verify(folder); }),
              AllOf(HasSubstr("checkpoint-1/b.bin has another checksum"), HasSubstr("; ")));
  EXPECT_EQ(problem_with(folder, {"b.bin", 3, 1}, false), "");
  put(folder / "b.bin", "ab");
  EXPECT_THAT(problem_of([&] { verify(folder, "take the other"); }),
              AllOf(HasSubstr("b.bin has 2 bytes instead of 3"), HasSubstr("; take the other")));
  fs::remove(folder / "b.bin");
  EXPECT_THAT(problem_of([&] { verify(folder); }), HasSubstr("b.bin is missing"));
  fs::create_symlink("nowhere", folder / "b.bin");
  EXPECT_THAT(problem_of([&] { verify(folder); }), HasSubstr("b.bin is a link to nothing"));
  fs::remove(folder / "b.bin");
  fs::create_directory(folder / "b.bin");
  EXPECT_THAT(problem_of([&] { verify(folder); }), HasSubstr("b.bin is no plain file"));
  fs::remove(folder / "manifest.json");
  EXPECT_THAT(problem_of([&] { verify(folder); }), HasSubstr("manifest.json is missing"));
}

std::string with_file(const std::string& fields) {
  return R"({"format":1,"validation_loss":null,"files":[{)" + fields + "}]}";
}

TEST(Manifest, RefusesWhatItDidNotWrite) {
  const std::string good = R"("name":"a","bytes":3,"xxh3":"78af5f94892f3950")";
  EXPECT_EQ(manifest_from_json(with_file(good), "m").files.size(), 1U);
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "no whole JSON"},
      {"[]", "no whole JSON"},
      {R"({"format":2,"files":[]})", "format is 2"},
      {R"({"files":[]})", "format is no whole number"},
      {R"({"format":1})", "files is no list"},
      {R"({"format":1,"files":[],"more":1})", "\"more\" is unknown"},
      {R"({"format":1,"files":[],"validation_loss":"low"})", "validation_loss is no number"},
      {R"({"format":1,"files":[3]})", "a file is no object"},
      {with_file(R"("name":"a","bytes":-1,"xxh3":"78af5f94892f3950")"), "bytes is no whole number"},
      {with_file(R"("name":"a","bytes":3,"xxh3":"78af5f94892f395")"), "16 hexadecimal"},
      {with_file(R"("name":"a","bytes":3,"xxh3":"-8af5f94892f3950")"), "16 hexadecimal"},
      {with_file(R"("name":7,"bytes":3,"xxh3":"78af5f94892f3950")"), "name is no text"},
      {with_file(good + R"(,"mode":7)"), "\"mode\" is unknown"},
      {with_file(good + "},{" + good), "stands in it twice"},
  };
  for (const auto& [text, problem] : cases) {
    EXPECT_THAT(problem_of([&] { manifest_from_json(text, "m.json"); }),
                AllOf(HasSubstr("m.json: "), HasSubstr(problem)))
        << text;
  }
}

TEST(Manifest, NamesStayInsideTheFolder) {
  for (const char* name : {"", ".", "..", "../a", "/etc/passwd", "a/b", "a\\\\b", "a\\nb",
                           "a\\u0000", "manifest.json"}) {
    const std::string text =
        with_file(fmt::format(R"("name":"{}","bytes":3,"xxh3":"78af5f94892f3950")", name));
    EXPECT_THAT(problem_of([&] { manifest_from_json(text, "m.json"); }),
                AllOf(HasSubstr("is no name of a file"), testing::Not(HasSubstr("\n"))))
        << name;
  }
  const TemporaryDirectory temporary;
  EXPECT_THROW(write_manifest(temporary.path(), {{{"../a", 1, 1}}, {}}), InvalidArgument);
}

TEST(RemoveListed, TakesWhatTheManifestNamesAndNothingElse) {
  const TemporaryDirectory temporary;
  const fs::path folder = temporary / "tokens";
  fill(folder);
  put(folder / "diary.md", "precious");
  fs::create_directories(folder / "sub");
  put(folder / "sub/b.bin", "mine");
  EXPECT_THAT(remove_listed(folder), ElementsAre("diary.md", "sub"));
  EXPECT_EQ(contents_of(folder / "diary.md"), "precious");
  EXPECT_EQ(contents_of(folder / "sub/b.bin"), "mine");
  EXPECT_FALSE(fs::exists(folder / "b.bin"));

  fill(temporary / "all");
  EXPECT_THAT(remove_listed(temporary / "all"), IsEmpty());
  EXPECT_FALSE(fs::exists(temporary / "all"));
  EXPECT_THAT(remove_listed(temporary / "all"), IsEmpty());
}

TEST(RemoveListed, LeavesAFolderThatIsNotCajals) {
  const TemporaryDirectory temporary;
  put(temporary / "b.bin", "mine");
  EXPECT_THAT(remove_listed(temporary.path()), ElementsAre("b.bin"));
  put(temporary / "manifest.json", R"({"start_url": "/"})");
  EXPECT_THAT(remove_listed(temporary.path()), ElementsAre("b.bin", "manifest.json"));
  EXPECT_EQ(contents_of(temporary / "b.bin"), "mine");
}

TEST(RemoveListed, FollowsNoLink) {
  const TemporaryDirectory temporary;
  fill(temporary / "real");
  fs::create_directory_symlink("real", temporary / "link");
  EXPECT_THAT(remove_listed(temporary / "link"), ElementsAre("a.json", "b.bin", "manifest.json"));
  EXPECT_TRUE(fs::exists(temporary / "real/b.bin"));

  put(temporary / "mine", "mine");
  fs::remove(temporary / "real/b.bin");
  fs::create_symlink("../mine", temporary / "real/b.bin");
  EXPECT_THAT(remove_listed(temporary / "real"), IsEmpty());
  EXPECT_EQ(contents_of(temporary / "mine"), "mine");
}

TEST(RemoveListed, KeepsItsListWhileAnythingOnItIsLeft) {
  const TemporaryDirectory temporary;
  const fs::path folder = temporary / "tokens";
  fill(folder);
  fs::remove(folder / "b.bin");
  fs::create_directory(folder / "b.bin");  // Not to be unlinked.
  EXPECT_THAT(remove_listed(folder), ElementsAre("b.bin", "manifest.json"));
  fs::remove(folder / "b.bin");
  EXPECT_THAT(remove_listed(folder), IsEmpty());
  EXPECT_FALSE(fs::exists(folder));
}

}  // namespace
}  // namespace cajal::train
