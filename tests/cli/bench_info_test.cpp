// bench --json and info --json.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/runner.h"

namespace cajal::cli::testing {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> keys_of(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

TEST(Bench, JsonIsOneObjectWithItsKeysInOrder) {
  Script script;
  const Outcome outcome = run_cajal({"bench", "--preset", "tiny", "--batch", "2", "--dtype", "bf16",
                                     "--sync", "every-op", "--accumulate", "3", "--json"},
                                    scripted_engine(script));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(lines_of(outcome.out).size(), 1U);
  const Json json = Json::parse(outcome.out);
  EXPECT_THAT(keys_of(json),
              ElementsAre("peer", "version", "preset", "batch", "seq", "device", "dtype", "sync",
                          "threads", "accumulate", "params", "ms_per_step", "spread",
                          "tokens_per_s", "tflops", "mfu", "device_busy", "host_waits_per_step",
                          "host_blocked_ms_per_step", "peak_bytes", "first_loss", "last_loss"));
  EXPECT_EQ(json["peer"], "cajal");
  EXPECT_EQ(json["preset"], "tiny");
  EXPECT_EQ(json["dtype"], "bf16");
  EXPECT_EQ(json["sync"], "every-op");
  EXPECT_EQ(json["accumulate"], 3);
  EXPECT_EQ(json["ms_per_step"], 12.5);
  EXPECT_EQ(json["spread"], Json::parse("[12.0, 13.0]"));
  EXPECT_TRUE(json["mfu"].is_null());
  EXPECT_EQ(script.benchmark.batch, 2);
}

TEST(Bench, TableSaysThatAnUnknownPeakIsUnknown) {
  Script script;
  const Outcome outcome =
      run_cajal({"bench", "--steps", "4", "--blocks", "6"}, scripted_engine(script));
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.out, HasSubstr("12.50 (blocks from 12.00 to 13.00)"));
  EXPECT_THAT(outcome.out, HasSubstr("peak is not known"));
  EXPECT_EQ(script.benchmark.steps, 4);
  EXPECT_EQ(script.benchmark.blocks, 6);
}

TEST(Bench, ProfileIsATableAndAFile) {
  Script script;
  const TemporaryDirectory folder;
  const std::string file = (folder.path() / "profile.json").string();
  const Outcome outcome = run_cajal({"bench", "--profile", file}, scripted_engine(script));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_GT(script.benchmark.profile_steps, 0);
  EXPECT_THAT(outcome.out, HasSubstr("ms a step"));
  EXPECT_THAT(outcome.out, ::testing::ContainsRegex("linear +24 +7.500 +60.0 %"));
  EXPECT_THAT(outcome.out, ::testing::ContainsRegex("between operations +2.500 +20.0 %"));
  const Json json = Json::parse(std::ifstream(file));
  EXPECT_EQ(json["ms_per_step"], 12.5);
  EXPECT_EQ(json["profile"]["operations"][1]["operation"], "gelu");
  EXPECT_EQ(json["profile"]["operations"][1]["share"], 0.2);
}

TEST(Bench, ProfileLeavesJsonAlone) {
  Script script;
  const TemporaryDirectory folder;
  const std::string file = (folder.path() / "profile.json").string();
  const Outcome outcome =
      run_cajal({"bench", "--json", "--profile", file}, scripted_engine(script));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(lines_of(outcome.out).size(), 1U);
  EXPECT_FALSE(Json::parse(outcome.out).contains("profile"));
}

TEST(Bench, ProfileThatCannotBeWrittenIsRefusedFirst) {
  Script script;
  const TemporaryDirectory folder;
  for (const auto& file :
       {folder.path() / "none/profile.json", folder.path(), std::filesystem::path("/dev/null")}) {
    const Outcome outcome =
        run_cajal({"bench", "--profile", file.string()}, scripted_engine(script));
    EXPECT_EQ(outcome.code, 2) << file;
    EXPECT_THAT(outcome.err, HasSubstr("--profile"));
  }
  EXPECT_EQ(script.calls, 0);
}

TEST(Info, EveryDeviceIsThereOrSaysWhyNot) {
  Script script;
  const Json json = Json::parse(run_cajal({"info", "--json"}, scripted_engine(script)).out);
  ASSERT_EQ(json["devices"].size(), 2U);
  const Json& cuda = json["devices"][1];
  EXPECT_THAT(cuda["name"].get<std::string>(), ::testing::StartsWith("cuda"));
  EXPECT_NE(cuda.contains("memory_bytes"), cuda.contains("unavailable"));
  const std::string text = run_cajal({"info"}, scripted_engine(script)).out;
  const std::string shown = cuda.contains("unavailable") ? cuda["unavailable"].get<std::string>()
                                                         : cuda["description"].get<std::string>();
  EXPECT_THAT(text, ::testing::ContainsRegex("cuda"));
  EXPECT_THAT(text, HasSubstr(shown));
}

TEST(Info, JsonTellsOfBuildDevicesAndPresets) {
  Script script;
  const Outcome outcome = run_cajal({"info", "--json"}, scripted_engine(script));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(lines_of(outcome.out).size(), 1U);
  const Json json = Json::parse(outcome.out);
  EXPECT_THAT(keys_of(json), ElementsAre("version", "compiler", "build_type", "onednn", "backends",
                                         "devices", "presets"));
  EXPECT_THAT(json["onednn"].get<std::string>(),
              ::testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
  ASSERT_FALSE(json["devices"].empty());
  const Json& cpu = json["devices"][0];
  EXPECT_EQ(cpu["name"], "cpu");
  EXPECT_GT(cpu["threads"], 0);
  EXPECT_GT(cpu["memory_bytes"], 0);
  // Either bf16 works or the reader is told what to use instead.
  EXPECT_NE(cpu["bf16"].get<bool>(), !cpu["bf16_remedy"].get<std::string>().empty());
  ASSERT_GE(json["presets"].size(), 6U);
  for (const Json& preset : json["presets"]) EXPECT_GT(preset["params"], 100000);
}

TEST(Info, TextFitsEightyColumns) {
  Script script;
  const Outcome outcome = run_cajal({"info"}, scripted_engine(script));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("cajal-20m"));
  EXPECT_THAT(outcome.out, HasSubstr("oneDNN"));
}

}  // namespace
}  // namespace cajal::cli::testing
