#include "train/run_directory.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <memory>
#include <stdexcept>

#include "cajal/error.h"
#include "checkpoint_fixture.h"
#include "child_process.h"
#include "train/run_origin.h"

namespace cajal::train {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

std::string problem_with(const fs::path& path) {
  try {
    const OpenRun directory(path);
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return {};
}

TEST(RunDirectory, StartsWithoutCheckpoint) {
  const TemporaryDirectory temporary;
  const OpenRun directory(temporary / "deep/er/run/");
  EXPECT_EQ(directory.path(), temporary / "deep/er/run");
  EXPECT_EQ(directory.latest_step(), -1);
  EXPECT_THROW(directory.latest(), Error);
}

TEST(RunDirectory, GoesAgainWhenNothingWasPutIntoIt) {
  const TemporaryDirectory temporary;
  { const OpenRun directory(temporary / "deep/er/run"); }
  EXPECT_FALSE(fs::exists(temporary / "deep"));
  fs::create_directories(temporary / "mine");
  { const OpenRun directory(temporary / "mine"); }
  EXPECT_TRUE(fs::exists(temporary / "mine"));
  {
    const OpenRun directory(temporary / "runs/a");
    put(temporary / "runs/a/notes.txt", "mine");
  }
  EXPECT_TRUE(fs::exists(temporary / "runs/a/notes.txt"));
}

TEST(RunDirectory, FindsWhatItWouldOpen) {
  const TemporaryDirectory temporary;
  EXPECT_EQ(RunDirectory::find(temporary / "none"), std::nullopt);
  EXPECT_EQ(RunDirectory::find(temporary.path()), std::nullopt);
  {
    OpenRun directory(temporary.path());
    publish(directory, 3, 2);
    publish(directory, 4, 2);
  }
  EXPECT_EQ(RunDirectory::find(temporary / ""), temporary / "checkpoint-4");
  fs::remove(temporary / "latest");
  EXPECT_EQ(RunDirectory::find(temporary.path()), temporary / "checkpoint-4");
  EXPECT_FALSE(fs::exists(temporary / "latest"));
}

TEST(RunDirectory, OpensAsAModelItself) {
  const TemporaryDirectory temporary;
  OpenRun directory(temporary / "run");
  publish(directory, 10);
  EXPECT_EQ(directory.latest_step(), 10);
  EXPECT_EQ(directory.latest(), temporary / "run/checkpoint-10");
  EXPECT_EQ(step_of_whole_checkpoint(directory.latest()), 10);
  EXPECT_EQ(step_of_whole_checkpoint(directory.path()), 10);
  publish(directory, 20);
  EXPECT_EQ(step_of_whole_checkpoint(directory.path()), 20);
  EXPECT_THAT(names_in(directory.path()),
              ElementsAre(".cajal-run", testing::StartsWith(".cajal-tmp-"), "checkpoint-20",
                          "config.json", "latest", "manifest.json", "model.safetensors",
                          "optimizer.safetensors", "trainer_state.json"));
}

TEST(RunDirectory, KeepsAsManyAsAskedOrderedByNumber) {
  const TemporaryDirectory temporary;
  OpenRun directory(temporary.path());
  for (const int step : {8, 9, 10, 100}) publish(directory, step, 3);
  EXPECT_FALSE(fs::exists(temporary / "checkpoint-8"));
  EXPECT_EQ(step_of_whole_checkpoint(temporary / "checkpoint-9"), 9);
  EXPECT_EQ(step_of_whole_checkpoint(temporary / "checkpoint-10"), 10);
  EXPECT_EQ(directory.latest_step(), 100);
}

TEST(RunDirectory, TheOldCheckpointStaysUntilTheNewOneStands) {
  const TemporaryDirectory temporary;
  OpenRun directory(temporary.path());
  publish(directory, 1);
  directory.publish(2, {}, [&](const fs::path& folder) {
    EXPECT_EQ(directory.latest_step(), 1);
    EXPECT_EQ(step_of_whole_checkpoint(temporary.path()), 1);
    return write_checkpoint(folder, 2);
  });
  EXPECT_EQ(directory.latest_step(), 2);
}

TEST(RunDirectory, AnExceptionWhileWritingChangesNothing) {
  const TemporaryDirectory temporary;
  OpenRun directory(temporary.path());
  publish(directory, 1);
  const auto before = names_in(temporary.path());
  EXPECT_THROW(directory.publish(2, {},
                                 [](const fs::path& folder) -> std::vector<ManifestEntry> {
                                   write_checkpoint(folder, 2);
                                   throw std::runtime_error("the device failed");
                                 }),
               std::runtime_error);
  EXPECT_THAT(names_in(directory.scratch()), testing::IsEmpty());
  EXPECT_EQ(names_in(temporary.path()), before);
  EXPECT_EQ(step_of_whole_checkpoint(temporary.path()), 1);
}

TEST(RunDirectory, TheSameStepMayBeSavedAgain) {
  const TemporaryDirectory temporary;
  OpenRun directory(temporary.path());
  for (int time = 0; time < 3; ++time) {
    directory.publish(5, {}, [&](const fs::path& folder) {
      return std::vector{write_file_atomically(folder / "a", std::to_string(time))};
    });
    EXPECT_EQ(directory.latest_step(), 5);
    EXPECT_EQ(contents_of(temporary / "a"), std::to_string(time));
  }
  EXPECT_THAT(names_in(temporary.path()),
              ElementsAre(".cajal-run", testing::StartsWith(".cajal-tmp-"), "a",
                          testing::StartsWith("checkpoint-5"), "latest", "manifest.json"));
}

TEST(RunDirectory, ARunBegunAgainReplacesLaterSteps) {
  const TemporaryDirectory temporary;
  OpenRun directory(temporary.path());
  publish(directory, 1000);
  publish(directory, 10, 5);
  EXPECT_EQ(directory.latest_step(), 10);
  EXPECT_FALSE(fs::exists(temporary / "checkpoint-1000"));
}

TEST(RunDirectory, LeftoversOfAKilledRunAreRemoved) {
  const TemporaryDirectory temporary;
  fs::path scratch;
  {
    OpenRun directory(temporary.path());
    publish(directory, 3);
    scratch = directory.scratch();
  }
  EXPECT_FALSE(fs::exists(scratch));
  fs::create_directories(scratch / "checkpoint-4");
  put(scratch / "checkpoint-4/model.safetensors", "half");
  fs::create_symlink("checkpoint-4", scratch / "0123");
  put(scratch / "4567", "half");
  put(temporary / "notes.txt", "mine");
  put(temporary / ".tmp-draft", "mine");
  fs::create_directory(temporary / ".cajal-tmp-0123456789abcdef");  // Not by this run's id.
  fs::remove(temporary / "model.safetensors");
  const OpenRun directory(temporary.path());
  EXPECT_THAT(names_in(scratch), testing::IsEmpty());
  EXPECT_EQ(contents_of(temporary / "notes.txt"), "mine");
  EXPECT_EQ(contents_of(temporary / ".tmp-draft"), "mine");
  EXPECT_TRUE(fs::exists(temporary / ".cajal-tmp-0123456789abcdef"));
  EXPECT_EQ(step_of_whole_checkpoint(temporary.path()), 3);
}

TEST(RunDirectory, ALostLinkIsFoundAgain) {
  const TemporaryDirectory temporary;
  {
    OpenRun directory(temporary.path());
    publish(directory, 3, 2);
    publish(directory, 4, 2);
  }
  fs::remove(temporary / "latest");
  EXPECT_EQ(OpenRun(temporary.path()).latest_step(), 4);
  fs::remove_all(temporary / "checkpoint-4");
  EXPECT_EQ(OpenRun(temporary.path()).latest_step(), 3);
  EXPECT_EQ(step_of_whole_checkpoint(temporary.path()), 3);
  fs::remove_all(temporary / "checkpoint-3");
  EXPECT_EQ(OpenRun(temporary.path()).latest_step(), -1);
}

TEST(RunDirectory, MayBeMovedAndCopiedWithLinksOrWithout) {
  const TemporaryDirectory temporary;
  {
    OpenRun directory(temporary / "run");
    publish(directory, 3);
  }
  fs::copy(temporary / "run", temporary / "linked",
           fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  fs::copy(temporary / "run", temporary / "followed", fs::copy_options::recursive);
  fs::rename(temporary / "run", temporary / "moved");
  for (const char* name : {"linked", "followed", "moved"}) {
    SCOPED_TRACE(name);
    EXPECT_EQ(step_of_whole_checkpoint(temporary / name), 3);
    OpenRun directory(temporary / name);
    EXPECT_EQ(directory.latest_step(), 3);
    EXPECT_EQ(step_of_whole_checkpoint(temporary / name), 3);
    publish(directory, 4);
    EXPECT_EQ(step_of_whole_checkpoint(temporary / name), 4);
    EXPECT_THAT(directory.warnings(), testing::IsEmpty());
    EXPECT_THAT(names_in(directory.scratch()), testing::IsEmpty());
  }
}

TEST(RunDirectory, NeverWritesOverAModelOfSomebodyElse) {
  const TemporaryDirectory temporary;
  put(temporary / "config.json", "{}");
  put(temporary / "model.safetensors", "weights");
  EXPECT_THAT(problem_with(temporary.path()),
              AllOf(HasSubstr("holds config.json, which cajal did not make"), HasSubstr("--out")));
  EXPECT_THAT(names_in(temporary.path()), ElementsAre("config.json", "model.safetensors"));
}

TEST(RunDirectory, AFileInItsPlaceIsAnErrorWithARemedy) {
  const TemporaryDirectory temporary;
  put(temporary / "run", "text");
  EXPECT_THAT(problem_with(temporary / "run"), AllOf(HasSubstr("is a file"), HasSubstr("--out")));
  EXPECT_THAT(problem_with(temporary / "run/sub"),
              AllOf(HasSubstr("cannot create"), HasSubstr("--out")));
  EXPECT_EQ(contents_of(temporary / "run"), "text");
}

TEST(RunDirectory, AReadOnlyDirectoryIsAnErrorWithARemedy) {
  const TemporaryDirectory temporary;
  fs::permissions(temporary.path(), fs::perms(0755));
  fs::create_directory(temporary / "run");
  fs::permissions(temporary / "run", fs::perms(0555));
  const int code = in_child([&] {
    if (::geteuid() == 0) {  // Root may write anywhere.
      ASSERT_EQ(::setuid(65534), 0);
    }
    EXPECT_THAT(problem_with(temporary / "run"),
                AllOf(HasSubstr("cannot write"), HasSubstr("--out")));
    EXPECT_THAT(problem_with(temporary / "run/sub"), HasSubstr("cannot create"));
  });
  EXPECT_EQ(code, 0);
}

TEST(RunDirectory, HasOneWriterAtATime) {
  const TemporaryDirectory temporary;
  {
    const OpenRun directory(temporary.path());
    EXPECT_THAT(
        problem_with(temporary.path()),
        AllOf(HasSubstr("in use by another training (process " + std::to_string(::getpid())),
              HasSubstr("--out")));
    EXPECT_EQ(in_child([&] { EXPECT_THAT(problem_with(temporary.path()), HasSubstr("in use")); }),
              0);
  }
  EXPECT_EQ(problem_with(temporary.path()), "");
}

TEST(RunDirectory, ALiveRunIsNotResumedHoweverItsCheckpointsLook) {
  const TemporaryDirectory temporary;
  TrainOptions options;
  options.out = temporary.path();
  options.resume = true;
  OpenRun directory(temporary.path());
  publish(directory, 1);
  fs::remove(temporary / "checkpoint-1/config.json");  // As while it is pruned.
  try {
    find_origin(options);
    ADD_FAILURE() << "resumed";
  } catch (const InvalidArgument& error) {
    EXPECT_THAT(error.what(),
                HasSubstr(fmt::format("in use by another training (process {})", ::getpid())));
  }
}

TEST(RunDirectory, ALookAtTheLockDoesNotKeepIt) {
  const TemporaryDirectory temporary;
  RunDirectory::require_unused(temporary / "none");
  { const OpenRun directory(temporary.path()); }
  publish(*std::make_unique<OpenRun>(temporary.path()), 1);
  for (int looks = 0; looks < 2; ++looks) RunDirectory::require_unused(temporary.path());
  const OpenRun directory(temporary.path());
  EXPECT_THROW(RunDirectory::require_unused(temporary.path()), InvalidArgument);
}

TEST(RunDirectory, ALockEndsWithItsProcess) {
  const TemporaryDirectory temporary;
  EXPECT_EQ(in_child([&] {
              const OpenRun directory(temporary.path());
              std::raise(SIGKILL);
            }),
            128 + SIGKILL);
  EXPECT_EQ(problem_with(temporary.path()), "");
}

}  // namespace
}  // namespace cajal::train
