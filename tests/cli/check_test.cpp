// cajal check
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/runner.h"
#include "train/run_directory.h"
#include "train/trainer_state.h"

namespace cajal::cli::testing {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

void make_run(const std::filesystem::path& path) {
  train::RunDirectory directory(path, train::RunDirectory::Use::begin);
  directory.publish(12, std::nullopt, [](const std::filesystem::path& folder) {
    train::TrainerState state;
    state.step = 12;
    return std::vector{train::write_file_atomically(folder / "config.json", "{}"),
                       train::write_file_atomically(folder / std::string(60, 'x'), "long"),
                       train::save_trainer_state(state, folder)};
  });
}

TEST(Check, PrintsALineAFileAndTheTotal) {
  const TemporaryDirectory temporary;
  make_run(temporary.path() / "run");
  const Outcome outcome = run_cajal({"check", (temporary.path() / "run").string()}, Engine());
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  const auto lines = lines_of(outcome.out);
  EXPECT_THAT(lines.front(), AllOf(StartsWith("checkpoint-12/config.json "), EndsWith("2  ok")));
  EXPECT_THAT(lines.back(), EndsWith(": all as they were written"));
  for (const std::string& line : lines) EXPECT_LE(line.size(), 80U) << line;
}

TEST(Check, DamageIsToldAndEndsWithOne) {
  const TemporaryDirectory temporary;
  const auto run = temporary.path() / "run";
  make_run(run);
  temporary.write("run/checkpoint-12/config.json", "[]");
  temporary.write("run/checkpoint-12/trainer_state.json", "{}");
  const Outcome outcome = run_cajal({"check", run.string()}, Engine());
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("DAMAGED\n    has another checksum"));
  EXPECT_THAT(outcome.out, HasSubstr("has 2 bytes instead of"));
  EXPECT_THAT(outcome.err, AllOf(StartsWith("cajal: error: 2 of "), HasSubstr("from a copy")));
  for (const std::string& line : lines_of(outcome.out)) EXPECT_LE(line.size(), 80U) << line;
}

TEST(Check, ALatestThatTheNextRunMendsIsANote) {
  const TemporaryDirectory temporary;
  const auto run = temporary.path() / "run";
  make_run(run);
  std::filesystem::remove(run / "latest");
  std::filesystem::create_symlink("checkpoint-4", run / "latest");
  const Outcome outcome = run_cajal({"check", run.string()}, Engine());
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("note\n    names checkpoint-4, and the newest is"),
                                 HasSubstr("all as they were written")));
}

TEST(Check, AModelFromElsewhereHasNoChecksums) {
  const TemporaryDirectory temporary;
  temporary.write("config.json", "{}");
  const Outcome outcome = run_cajal({"check", temporary.path().string()}, Engine());
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("no checksum here"), HasSubstr("without a checksum")));
}

TEST(Check, HelpNamesWhatItDoes) {
  const Outcome outcome = run_cajal({"check", "--help"}, Engine());
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("cajal check runs/cajal"), HasSubstr("Exit code 0")));
  EXPECT_THAT(run_cajal({"--help"}, Engine()).out, HasSubstr("check "));
}

}  // namespace
}  // namespace cajal::cli::testing
