// Run directories on file systems without symbolic links.
#include "train/run_links.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cajal/error.h"
#include "checkpoint_fixture.h"

namespace cajal::train {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

bool holds_links(const fs::path& folder) {
  const auto names = names_in(folder);
  return std::ranges::any_of(names,
                             [&](const auto& name) { return fs::is_symlink(folder / name); });
}

/// The top of the directory opens as the model of that step, and its checksums hold.
void expect_model(const fs::path& run, std::int64_t step) {
  EXPECT_EQ(contents_of(run / "config.json"), std::to_string(step));
  EXPECT_EQ(contents_of(run / "model.safetensors"),
            contents_of(RunDirectory::find(run).value() / "model.safetensors"));
  verify(run);
}

class WithoutLinks : public testing::TestWithParam<Links> {};

TEST_P(WithoutLinks, TheDirectoryOpensAsAModel) {
  const TemporaryDirectory temporary;
  RunDirectory directory(temporary.path(), kBegin, GetParam());
  for (const int step : {10, 20}) {
    EXPECT_THAT(publish(directory, step), IsEmpty());
    expect_model(temporary.path(), step);
    EXPECT_EQ(contents_of(temporary / "latest"), "checkpoint-" + std::to_string(step) + "\n");
    EXPECT_EQ(directory.latest_step(), step);
  }
  EXPECT_FALSE(holds_links(temporary.path()));
  EXPECT_THAT(names_in(temporary.path()),
              ElementsAre(".cajal-run", testing::StartsWith(".cajal-tmp-"), "checkpoint-20",
                          "config.json", "latest", "manifest.json", "model.safetensors"));
  EXPECT_THAT(names_in(directory.scratch()), IsEmpty());
  EXPECT_EQ(step_of_whole_checkpoint(directory.latest()), 20);
}

TEST_P(WithoutLinks, ItGoesOnAndChangesForms) {
  const TemporaryDirectory temporary;
  for (const Links links : {GetParam(), Links::symbolic, GetParam(), GetParam()}) {
    OpenRun directory(temporary.path(), links);
    EXPECT_THAT(directory.warnings(), IsEmpty());
    const std::int64_t step = directory.latest_step() + 2;
    EXPECT_THAT(publish(directory, step), IsEmpty());
    expect_model(temporary.path(), step);
    EXPECT_EQ(step_of_whole_checkpoint(RunDirectory::find_whole(temporary.path()).value()), step);
  }
}

TEST_P(WithoutLinks, ACopyWithFilesForLinksWorks) {
  const TemporaryDirectory temporary;
  {
    OpenRun directory(temporary / "run", Links::symbolic);
    publish(directory, 3);
  }
  fs::copy(temporary / "run", temporary / "stick", fs::copy_options::recursive);
  OpenRun directory(temporary / "stick", GetParam());
  EXPECT_THAT(directory.warnings(), IsEmpty());
  expect_model(temporary / "stick", 3);
  publish(directory, 4);
  expect_model(temporary / "stick", 4);
}

TEST_P(WithoutLinks, WhatIsTheUsersIsLeft) {
  const TemporaryDirectory temporary;
  OpenRun directory(temporary.path(), GetParam());
  publish(directory, 1);
  fs::remove(temporary / "config.json");
  put(temporary / "config.json", "my own configuration");
  EXPECT_THAT(publish(directory, 2), Contains(HasSubstr("config.json is not this run's")));
  EXPECT_EQ(contents_of(temporary / "config.json"), "my own configuration");
}

INSTANTIATE_TEST_SUITE_P(Forms, WithoutLinks, testing::Values(Links::hard, Links::copies));

TEST(UsableLinks, AreFoundByTrying) {
  const TemporaryDirectory temporary;
  EXPECT_EQ(usable_links(temporary.path()), Links::symbolic);
  EXPECT_THAT(names_in(temporary.path()), IsEmpty());
  EXPECT_THROW(usable_links(temporary / "none"), Error);
}

TEST(RunLinks, HardLinksTakeNoSpaceAndCopiesAreNotMadeTwice) {
  const TemporaryDirectory temporary;
  {
    OpenRun directory(temporary / "hard", Links::hard);
    publish(directory, 1);
    EXPECT_EQ(fs::hard_link_count(temporary / "hard/model.safetensors"), 2U);
  }
  {
    OpenRun directory(temporary / "copies", Links::copies);
    publish(directory, 1);
    EXPECT_EQ(fs::hard_link_count(temporary / "copies/model.safetensors"), 1U);
  }
  const auto before = fs::last_write_time(temporary / "copies/model.safetensors");
  { const OpenRun again(temporary / "copies", Links::copies); }
  EXPECT_EQ(fs::last_write_time(temporary / "copies/model.safetensors"), before);
}

TEST(RunLinks, AFailureThereLosesNoCheckpoint) {
  const TemporaryDirectory temporary;
  RunDirectory directory(temporary.path(), kBegin);
  publish(directory, 1);
  fs::remove(temporary / "latest");
  fs::create_directory(temporary / "latest");
  put(temporary / "latest/notes.txt", "mine");
  const auto warnings = publish(directory, 2);
  EXPECT_THAT(warnings, Contains(HasSubstr("checkpoint-2")));
  EXPECT_EQ(contents_of(temporary / "latest/notes.txt"), "mine");
  EXPECT_EQ(step_of_whole_checkpoint(RunDirectory::find_whole(temporary.path()).value()), 2);
}

}  // namespace
}  // namespace cajal::train
