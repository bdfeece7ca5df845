// Which checkpoints stay, which one is read, and what is kept of a save that fails.
#include "train/retention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "cajal/error.h"
#include "checkpoint_fixture.h"

namespace cajal::train {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> checkpoints(const fs::path& run) {
  auto names = names_in(run);
  std::erase_if(names, [](const std::string& name) { return !name.starts_with("checkpoint-"); });
  return names;
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

void damage(const fs::path& file) {
  std::string contents = contents_of(file);
  contents[contents.size() / 2] ^= 1;
  put(file, contents);
}

TEST(Retention, TheBestByValidationLossStaysBesideTheNewest) {
  const TemporaryDirectory temporary;
  RunDirectory directory(temporary.path(), kBegin);
  const std::vector<double> losses{3.0, 2.0, 2.5, std::numeric_limits<double>::quiet_NaN(), 2.6};
  for (std::size_t i = 0; i < losses.size(); ++i) {
    publish(directory, static_cast<std::int64_t>(i + 1), 2, losses[i]);
  }
  EXPECT_THAT(checkpoints(temporary.path()),
              ElementsAre("checkpoint-2", "checkpoint-4", "checkpoint-5"));
  publish(directory, 6, 1, 1.5);  // The newest and the best.
  EXPECT_THAT(checkpoints(temporary.path()), ElementsAre("checkpoint-6"));
  publish(directory, 7, 1);
  EXPECT_THAT(checkpoints(temporary.path()), ElementsAre("checkpoint-6", "checkpoint-7"));
}

TEST(Retention, ANextStartRemembersTheBest) {
  const TemporaryDirectory temporary;
  {
    RunDirectory directory(temporary.path(), kBegin);
    publish(directory, 1, 1, 1.0);
  }
  RunDirectory directory(temporary.path(), kResume);
  publish(directory, 2, 1, 2.0);
  publish(directory, 3, 1, 3.0);
  EXPECT_THAT(checkpoints(temporary.path()), ElementsAre("checkpoint-1", "checkpoint-3"));
}

TEST(Retention, ADamagedManifestIsNotPruned) {
  const TemporaryDirectory temporary;
  RunDirectory directory(temporary.path(), kBegin);
  publish(directory, 1);
  put(temporary / "checkpoint-1/manifest.json", "{");
  publish(directory, 2);
  EXPECT_THAT(checkpoints(temporary.path()), ElementsAre("checkpoint-1", "checkpoint-2"));
}

TEST(FindWhole, NamesTheDamagedFileAndTheNextWholeCheckpoint) {
  const TemporaryDirectory temporary;
  {
    RunDirectory directory(temporary.path(), kBegin);
    for (int step = 1; step <= 3; ++step) publish(directory, step, 3);
  }
  EXPECT_EQ(RunDirectory::find_whole(temporary.path()), temporary / "checkpoint-3");
  damage(temporary / "checkpoint-3/optimizer.safetensors");
  damage(temporary / "checkpoint-2/model.safetensors");
  const auto find = [&] { RunDirectory::find_whole(temporary.path()); };
  EXPECT_THAT(problem_of(find),
              AllOf(HasSubstr("checkpoint-3/optimizer.safetensors has another checksum"),
                    HasSubstr("; checkpoint-1 is whole: move checkpoint-3 out")));
  fs::rename(temporary / "checkpoint-3", temporary / "aside");
  EXPECT_THAT(problem_of(find), HasSubstr("checkpoint-2/model.safetensors"));
  fs::rename(temporary / "checkpoint-2", temporary / "aside-too");
  EXPECT_EQ(RunDirectory::find_whole(temporary.path()), temporary / "checkpoint-1");
  fs::remove(temporary / "checkpoint-1/manifest.json");
  EXPECT_THAT(problem_of(find), AllOf(HasSubstr("checkpoint-1/manifest.json is missing"),
                                      HasSubstr("no other checkpoint there is whole")));
  EXPECT_EQ(RunDirectory::find_whole(temporary / "none"), std::nullopt);
}

TEST(FindWhole, AMissingOrCutFileIsNamed) {
  const TemporaryDirectory temporary;
  {
    RunDirectory directory(temporary.path(), kBegin);
    publish(directory, 1);
  }
  fs::resize_file(temporary / "checkpoint-1/model.safetensors", 10);
  const auto find = [&] { RunDirectory::find_whole(temporary.path()); };
  EXPECT_THAT(problem_of(find), HasSubstr("model.safetensors has 10 bytes instead of"));
  fs::remove(temporary / "checkpoint-1/model.safetensors");
  EXPECT_THAT(problem_of(find), HasSubstr("model.safetensors is missing"));
}

TEST(AFailedSave, KeepsTheModelWhenItIsAllThereIs) {
  const TemporaryDirectory temporary;
  RunDirectory directory(temporary.path(), kBegin);
  const auto fail_late = [](const fs::path& folder) -> std::vector<ManifestEntry> {
    write_checkpoint(folder, 1);
    throw Error("the disk is full");
  };
  EXPECT_THAT(problem_of([&] { directory.publish(1, {}, fail_late); }),
              AllOf(HasSubstr("the disk is full; the unfinished checkpoint is in"),
                    HasSubstr("unfinished-checkpoint-1")));
  EXPECT_EQ(contents_of(temporary / "unfinished-checkpoint-1/config.json"), "1");
  EXPECT_THAT(problem_of([&] { directory.publish(1, {}, fail_late); }),
              HasSubstr("unfinished-checkpoint-1.1"));
  const auto fail_early = [](const fs::path& folder) -> std::vector<ManifestEntry> {
    put(folder / "config.json", "1");
    throw Error("the weights are not finite");
  };
  EXPECT_EQ(problem_of([&] { directory.publish(1, {}, fail_early); }),
            "the weights are not finite");
  EXPECT_THAT(names_in(directory.scratch()), IsEmpty());
  EXPECT_EQ(RunDirectory::find(temporary.path()), std::nullopt);
}

TEST(AFailedSave, LeavesNothingBesideACheckpoint) {
  const TemporaryDirectory temporary;
  RunDirectory directory(temporary.path(), kBegin);
  publish(directory, 1);
  const auto before = names_in(temporary.path());
  EXPECT_EQ(problem_of([&] {
              directory.publish(2, {}, [](const fs::path& folder) -> std::vector<ManifestEntry> {
                write_checkpoint(folder, 2);
                throw Error("the disk is full");
              });
            }),
            "the disk is full");
  EXPECT_EQ(names_in(temporary.path()), before);
}

TEST(ForeignName, IsTheFirstThatNoManifestLists) {
  const TemporaryDirectory temporary;
  EXPECT_EQ(foreign_name_in(temporary / "none"), std::nullopt);
  EXPECT_EQ(foreign_name_in(temporary.path()), std::nullopt);
  put(temporary / "b", "");
  EXPECT_EQ(foreign_name_in(temporary.path()), "b");
  write_manifest(temporary.path(), {hash_folder(temporary.path()), {}});
  EXPECT_EQ(foreign_name_in(temporary.path()), std::nullopt);
  put(temporary / "c", "");
  EXPECT_EQ(foreign_name_in(temporary.path()), "c");
}

}  // namespace
}  // namespace cajal::train
