#include "train/run_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "cajal/error.h"
#include "checkpoint_fixture.h"

namespace cajal::train {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::HasSubstr;
using testing::Key;
using testing::Not;
using State = FileCheck::State;

std::map<std::string, FileCheck> check(const fs::path& directory) {
  std::map<std::string, FileCheck> files;
  check_directory(directory, [&](const FileCheck& file) {
    EXPECT_FALSE(files.contains(file.name)) << file.name << " twice";
    EXPECT_EQ(file.what.find('\n'), std::string::npos);
    files[file.name] = file;
  });
  return files;
}

/// What is said of the damaged ones.
std::map<std::string, std::string> damage_in(const fs::path& directory) {
  std::map<std::string, std::string> damaged;
  for (const auto& [name, file] : check(directory)) {
    if (file.state == State::damaged) damaged[name] = file.what;
  }
  return damaged;
}

void make_run(const fs::path& path, Links links = Links::symbolic) {
  RunDirectory directory(path, kBegin, links);
  directory.replace_folder("tokens", [](const fs::path& folder) {
    return std::vector{write_file_atomically(folder / "tokens_000000.bin", "tokens")};
  });
  publish(directory, 1, 2);
  publish(directory, 2, 2);
}

TEST(RunCheck, SeesEveryFileOfARun) {
  for (const Links links : {Links::symbolic, Links::hard, Links::copies}) {
    const TemporaryDirectory temporary;
    make_run(temporary.path(), links);
    put(temporary / "notes.txt", "mine");
    const auto files = check(temporary.path());
    for (const char* name :
         {"checkpoint-1/model.safetensors", "checkpoint-2/optimizer.safetensors",
          "checkpoint-2/trainer_state.json", "tokens/tokens_000000.bin", "latest", "config.json"}) {
      ASSERT_THAT(files, Contains(Key(name)));
      EXPECT_EQ(files.at(name).state, State::ok) << name << ' ' << files.at(name).what;
    }
    EXPECT_EQ(files.at("tokens/tokens_000000.bin").bytes, 6U);
    EXPECT_THAT(files, Not(Contains(Key("notes.txt"))));
    EXPECT_THAT(damage_in(temporary.path()), testing::IsEmpty());
  }
}

TEST(RunCheck, SeesEveryBitThatChanged) {
  const TemporaryDirectory temporary;
  make_run(temporary.path());
  for (const char* name : {"checkpoint-1/model.safetensors", "checkpoint-2/config.json",
                           "checkpoint-2/trainer_state.json", "tokens/tokens_000000.bin"}) {
    const std::string before = contents_of(temporary / name);
    std::string after = before;
    after.back() ^= 0x10;
    put(temporary / name, after);
    const auto damaged = damage_in(temporary.path());
    EXPECT_EQ(damaged.size(), 1U) << name;
    EXPECT_THAT(damaged.at(name), HasSubstr("checksum"));
    put(temporary / name, before);
  }
}

TEST(RunCheck, SeesWhatIsMissingAndWrongLinks) {
  const TemporaryDirectory temporary;
  make_run(temporary.path());
  fs::remove(temporary / "checkpoint-2/model.safetensors");
  fs::remove(temporary / "checkpoint-1/manifest.json");
  const auto damaged = damage_in(temporary.path());
  EXPECT_EQ(damaged.at("checkpoint-2/model.safetensors"), "is missing");
  EXPECT_EQ(damaged.at("checkpoint-1/manifest.json"), "is missing");
  EXPECT_EQ(check(temporary.path()).at("checkpoint-2/model.safetensors").bytes, std::nullopt);
  fs::remove(temporary / "latest");
  put(temporary / "latest", "mine");
  EXPECT_EQ(damage_in(temporary.path()).at("latest"), "is no link to a checkpoint");
}

/// As a power cut between a checkpoint and the names that lead to it leaves them.
TEST(RunCheck, NamesThatTheNextRunMendsAreNoDamage) {
  const TemporaryDirectory temporary;
  make_run(temporary.path());
  const auto stale = [&](const char* name) {
    EXPECT_THAT(damage_in(temporary.path()), testing::IsEmpty());
    const auto files = check(temporary.path());
    EXPECT_EQ(files.at(name).state, State::stale) << name;
    return files.at(name).what;
  };
  fs::remove(temporary / "latest");
  EXPECT_THAT(stale("latest"), HasSubstr("is missing; the next run"));
  fs::create_symlink("checkpoint-1", temporary / "latest");
  EXPECT_THAT(stale("latest"),
              HasSubstr("names checkpoint-1, and the newest is checkpoint-2; the"));
  fs::remove_all(temporary / "checkpoint-1");
  EXPECT_THAT(stale("config.json"), HasSubstr("link to nothing; the next run"));
  { const RunDirectory mended(temporary.path(), kResume); }
  for (const auto& [name, file] : check(temporary.path())) EXPECT_EQ(file.state, State::ok) << name;
}

TEST(RunCheck, CopiesThatAreNewerThanTheirListAreNoDamage) {
  const TemporaryDirectory temporary;
  make_run(temporary.path(), Links::copies);
  auto list = *read_manifest(temporary / "checkpoint-1");
  std::erase_if(list.files, [](const ManifestEntry& entry) {
    return entry.name != "config.json" && entry.name != "model.safetensors";
  });
  write_manifest(temporary.path(), list);
  EXPECT_THAT(damage_in(temporary.path()), testing::IsEmpty());
  EXPECT_EQ(check(temporary.path()).at("config.json").state, State::stale);
  put(temporary / "config.json", "?");
  EXPECT_THAT(damage_in(temporary.path()), Contains(Key("config.json")));
}

TEST(RunCheck, AStateOfAnotherStepIsNoticed) {
  const TemporaryDirectory temporary;
  make_run(temporary.path());
  fs::rename(temporary / "checkpoint-2", temporary / "checkpoint-9");
  EXPECT_EQ(damage_in(temporary.path()).at("checkpoint-9/trainer_state.json"), "is of step 2");
}

TEST(RunCheck, TakesACheckpointOrAModelByItself) {
  const TemporaryDirectory temporary;
  make_run(temporary / "run");
  const auto files = check(temporary / "run/checkpoint-1");
  EXPECT_EQ(files.size(), 4U);
  EXPECT_EQ(files.at("model.safetensors").state, State::ok);

  fs::create_directory(temporary / "model");
  fs::copy(temporary / "run/checkpoint-1/model.safetensors", temporary / "model");
  put(temporary / "model/config.json", "{}");
  EXPECT_EQ(check(temporary / "model").at("config.json").what, "no checksum here");
  EXPECT_EQ(check(temporary / "model").at("model.safetensors").state, State::unchecked);
  fs::resize_file(temporary / "model/model.safetensors", 1000);
  EXPECT_EQ(check(temporary / "model").at("model.safetensors").state, State::damaged);
}

TEST(RunCheck, ARunThatIsAtWorkIsNotJudged) {
  const TemporaryDirectory temporary;
  OpenRun directory(temporary.path());
  publish(directory, 1);
  EXPECT_THROW(check(temporary.path()), InvalidArgument);
  EXPECT_EQ(check(temporary / "checkpoint-1").at("config.json").state, State::ok);
}

TEST(RunCheck, RefusesWhatIsNeither) {
  const TemporaryDirectory temporary;
  EXPECT_THROW(check(temporary / "none"), InvalidArgument);
  EXPECT_THROW(check(temporary.path()), InvalidArgument);
}

}  // namespace
}  // namespace cajal::train
