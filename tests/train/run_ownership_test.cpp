// A run touches nothing but what it made.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "cajal/error.h"
#include "checkpoint_fixture.h"

namespace cajal::train {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

template <class Function>
std::string problem_of(Function function) {
  try {
    function();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

std::string problem_with(const fs::path& path, RunDirectory::Use use) {
  return problem_of([&] { const RunDirectory directory(path, use); });
}

/// Every name below a folder, with what is behind it.
std::map<std::string, std::string> everything_in(const fs::path& folder) {
  std::map<std::string, std::string> all;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().lexically_relative(folder).string();
    if (entry.is_symlink()) {
      all[name] = "-> " + fs::read_symlink(entry.path()).string();
    } else {
      all[name] = entry.is_directory() ? "folder" : contents_of(entry.path());
    }
  }
  return all;
}

std::vector<ManifestEntry> write_tokens(const fs::path& folder) {
  return {write_file_atomically(folder / "tokens_000000.bin", "tokens")};
}

TEST(RunOwnership, ANewRunRefusesEveryNameThatItWouldWrite) {
  for (const char* name :
       {"config.json", "model.safetensors", "tokenizer.json", "optimizer.safetensors",
        "trainer_state.json", "metrics.jsonl", "manifest.json", "tokens/diary.md",
        "latest/notes.txt", "checkpoint-7/notes.txt", ".cajal-run"}) {
    SCOPED_TRACE(name);
    const TemporaryDirectory temporary;
    const fs::path file = temporary / name;
    fs::create_directories(file.parent_path());
    put(file, "precious");
    put(temporary / ".tmp-draft", "draft");
    const auto before = everything_in(temporary.path());
    const std::string first = fs::path(name).begin()->string();
    EXPECT_THAT(problem_with(temporary.path(), kBegin),
                AllOf(HasSubstr(first), HasSubstr("choose another --out")));
    EXPECT_EQ(everything_in(temporary.path()), before);
    EXPECT_NE(problem_with(temporary.path(), kResume), "");
    EXPECT_EQ(everything_in(temporary.path()), before);
  }
}

TEST(RunOwnership, ALinkInTheWayIsRefusedToo) {
  const TemporaryDirectory temporary;
  fs::create_symlink("nowhere", temporary / "latest");
  EXPECT_THAT(problem_with(temporary.path(), kBegin), HasSubstr("holds latest, which cajal did"));
  EXPECT_TRUE(fs::is_symlink(temporary / "latest"));
}

TEST(RunOwnership, ARunBesideOtherFilesLeavesThemAlone) {
  const TemporaryDirectory temporary;
  for (const char* name : {"notes.txt", ".tmp-draft", ".lock", ".tmp-metrics.jsonl"}) {
    put(temporary / name, "mine");
  }
  fs::create_directories(temporary / ".tmp-checkpoint-4");
  fs::create_directories(temporary / "checkpoint-last");
  const auto before = everything_in(temporary.path());
  { const RunDirectory directory(temporary.path(), kBegin); }
  EXPECT_EQ(everything_in(temporary.path()), before);
  {
    RunDirectory directory(temporary.path(), kBegin);
    for (int step = 1; step <= 3; ++step) EXPECT_THAT(publish(directory, step), IsEmpty());
  }
  { const RunDirectory directory(temporary.path(), kResume); }
  const auto after = everything_in(temporary.path());
  for (const auto& [name, contents] : before) EXPECT_EQ(after.at(name), contents) << name;
}

TEST(RunOwnership, ARunThatIsRefusedLaterLeavesNothing) {
  const TemporaryDirectory temporary;
  put(temporary / "book.txt", "short");
  {
    RunDirectory directory(temporary.path(), kBegin);
    directory.replace_folder("tokens", write_tokens);
    put(temporary / "metrics.jsonl", "");
    EXPECT_TRUE(fs::exists(temporary / "tokens/manifest.json"));
  }
  EXPECT_THAT(names_in(temporary.path()), ElementsAre("book.txt"));
}

TEST(RunOwnership, WhatARunHasToldStaysWithoutACheckpoint) {
  const TemporaryDirectory temporary;
  {
    RunDirectory directory(temporary.path(), kBegin);
    put(temporary / "metrics.jsonl", "{}\n");
  }
  EXPECT_EQ(contents_of(temporary / "metrics.jsonl"), "{}\n");
  EXPECT_EQ(problem_with(temporary.path(), kBegin), "");  // And may be begun again.
}

TEST(RunOwnership, ARunIsBegunOnce) {
  const TemporaryDirectory temporary;
  {
    RunDirectory directory(temporary.path(), kBegin);
    publish(directory, 1);
  }
  EXPECT_THAT(problem_with(temporary.path(), kBegin),
              AllOf(HasSubstr("already holds a run"), HasSubstr("--resume")));
  EXPECT_THAT(problem_with(temporary / "none", kResume), HasSubstr("holds no run to resume"));
  EXPECT_FALSE(fs::exists(temporary / "none"));
}

TEST(RunOwnership, FoldersAreReplacedOnlyWhereAllIsTheRuns) {
  const TemporaryDirectory temporary;
  RunDirectory directory(temporary.path(), kBegin);
  directory.replace_folder("tokens", write_tokens);
  directory.replace_folder("tokens", [](const fs::path& folder) {
    put(folder / "tokens_000001.bin", "more");
    return std::vector<ManifestEntry>{};
  });
  EXPECT_THAT(names_in(temporary / "tokens"), ElementsAre("manifest.json", "tokens_000001.bin"));
  verify(temporary / "tokens");
  EXPECT_THROW(
      directory.replace_folder(
          "tokens", [](const fs::path&) -> std::vector<ManifestEntry> { throw Error("no text"); }),
      Error);
  verify(temporary / "tokens");

  put(temporary / "tokens/diary.md", "precious");
  EXPECT_THAT(problem_of([&] { directory.replace_folder("tokens", write_tokens); }),
              AllOf(HasSubstr("tokens/diary.md"), HasSubstr("move that away")));
  directory.remove_folder("tokens");
  EXPECT_THAT(names_in(temporary / "tokens"), ElementsAre("diary.md"));
}

TEST(RunOwnership, PruningLeavesWhatIsNotListed) {
  const TemporaryDirectory temporary;
  RunDirectory directory(temporary.path(), kBegin);
  publish(directory, 1);
  put(temporary / "checkpoint-1/notes.txt", "mine");
  fs::create_directories(temporary / "checkpoint-0");
  put(temporary / "checkpoint-0/notes.txt", "mine");
  publish(directory, 2);
  publish(directory, 3);
  EXPECT_THAT(names_in(temporary / "checkpoint-1"), ElementsAre("notes.txt"));
  EXPECT_THAT(names_in(temporary / "checkpoint-0"), ElementsAre("notes.txt"));
  EXPECT_FALSE(fs::exists(temporary / "checkpoint-2"));
}

TEST(RunOwnership, AFileThatTookALinksPlaceIsLeftAndNamed) {
  const TemporaryDirectory temporary;
  RunDirectory directory(temporary.path(), kBegin);
  publish(directory, 1);
  fs::remove(temporary / "config.json");
  put(temporary / "config.json", "my own configuration");
  EXPECT_THAT(publish(directory, 2), ElementsAre(HasSubstr("config.json is not this run's")));
  EXPECT_EQ(contents_of(temporary / "config.json"), "my own configuration");
  EXPECT_EQ(step_of_whole_checkpoint(temporary / "latest"), 2);
}

TEST(RunOwnership, ALatestOfSomebodyElseIsRefusedOnResume) {
  const TemporaryDirectory temporary;
  {
    RunDirectory directory(temporary.path(), kBegin);
    publish(directory, 1);
  }
  fs::remove(temporary / "latest");
  fs::create_directory(temporary / "latest");
  put(temporary / "latest/notes.txt", "mine");
  EXPECT_THAT(problem_with(temporary.path(), kResume),
              HasSubstr("latest is no link to a checkpoint"));
  EXPECT_EQ(contents_of(temporary / "latest/notes.txt"), "mine");
}

/// As a cajal without markers and manifests left it.
void make_earlier_run(const fs::path& run) {
  fs::create_directories(run / "checkpoint-3");
  fs::create_directories(run / "tokens");
  write_checkpoint(run / "checkpoint-3", 3);
  put(run / "checkpoint-3/my-notes.txt", "mine");
  put(run / "tokens/tokens_000000.bin", "tokens");
  put(run / "tokens/source.json", "{}");
  put(run / "tokens/diary.md", "precious");
  put(run / ".lock", "123\n");
  put(run / "metrics.jsonl", "");
  fs::create_symlink("checkpoint-3", run / "latest");
  for (const char* name :
       {"config.json", "model.safetensors", "optimizer.safetensors", "trainer_state.json"}) {
    fs::create_symlink(fs::path("latest") / name, run / name);
  }
}

TEST(RunOwnership, ARunOfAnEarlierCajalIsTakenOverOnResumeAlone) {
  const TemporaryDirectory temporary;
  make_earlier_run(temporary.path());
  EXPECT_EQ(RunDirectory::find_whole(temporary.path()), temporary / "checkpoint-3");
  const auto before = everything_in(temporary.path());
  EXPECT_THAT(problem_with(temporary.path(), kBegin), HasSubstr("already holds a run"));
  EXPECT_EQ(everything_in(temporary.path()), before);
  {
    RunDirectory directory(temporary.path(), kResume);
    EXPECT_THAT(directory.warnings(), ElementsAre(HasSubstr("earlier cajal")));
    EXPECT_EQ(directory.latest_step(), 3);
    verify(temporary / "checkpoint-3");
    verify(temporary / "tokens");
    publish(directory, 4);
    directory.remove_folder("tokens");
  }
  EXPECT_THAT(names_in(temporary / "checkpoint-3"), ElementsAre("my-notes.txt"));
  EXPECT_THAT(names_in(temporary / "tokens"), ElementsAre("diary.md"));
  EXPECT_FALSE(fs::exists(temporary / ".lock"));
  EXPECT_EQ(step_of_whole_checkpoint(temporary.path()), 4);
  EXPECT_EQ(problem_with(temporary.path(), kResume), "");
}

TEST(RunOwnership, ACopyOfAnEarlierRunThatFollowedItsLinksIsTakenOver) {
  const TemporaryDirectory temporary;
  make_earlier_run(temporary / "run");
  fs::copy(temporary / "run", temporary / "copy", fs::copy_options::recursive);
  fs::remove(temporary / "copy/latest/my-notes.txt");
  ASSERT_FALSE(fs::is_symlink(temporary / "copy/latest"));
  RunDirectory directory(temporary / "copy", kResume);
  EXPECT_TRUE(fs::is_symlink(temporary / "copy/latest")) << "not replaced";
  EXPECT_EQ(step_of_whole_checkpoint(temporary / "copy"), 3);
  EXPECT_THAT(publish(directory, 4), IsEmpty());
  EXPECT_EQ(step_of_whole_checkpoint(temporary / "copy"), 4);
}

TEST(RunOwnership, ADirectoryThatVanishedIsNamed) {
  const TemporaryDirectory temporary;
  RunDirectory directory(temporary / "run", kBegin);
  publish(directory, 1);
  fs::rename(temporary / "run", temporary / "moved");
  EXPECT_THAT(problem_of([&] { publish(directory, 2); }),
              AllOf(HasSubstr("was removed or replaced"), HasSubstr("put it back")));
  EXPECT_FALSE(fs::exists(temporary / "run"));
  fs::create_directory(temporary / "run");
  put(temporary / "run/notes.txt", "mine");
  EXPECT_THAT(problem_of([&] { publish(directory, 2); }), HasSubstr("was removed or replaced"));
  EXPECT_THAT(names_in(temporary / "run"), ElementsAre("notes.txt"));
  EXPECT_EQ(step_of_whole_checkpoint(temporary / "moved"), 1);
  fs::remove_all(temporary / "run");
}

}  // namespace
}  // namespace cajal::train
