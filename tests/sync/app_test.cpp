// The program as its users meet it: arguments, exit codes, what it prints and writes.
#include "sync/app.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "sync/scan.h"

namespace cajal::sync::testing {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

struct Outcome {
  int code = 0;
  std::string out;
  std::string err;
};

Outcome call(std::vector<std::string> words) {
  words.insert(words.begin(), "cajal-sync");
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  Outcome outcome;
  outcome.code = run(arguments);
  std::fflush(stdout);
  outcome.out = ::testing::internal::GetCapturedStdout();
  outcome.err = ::testing::internal::GetCapturedStderr();
  return outcome;
}

constexpr const char* kKernel = "__global__ void work(float* x) { x[0] += 1; }\n";

class Program : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("cajal-sync-app-" + std::to_string(::getpid()) + "-" +
               ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override {
    std::error_code ignored;
    std::filesystem::permissions(folder_, std::filesystem::perms::owner_all, ignored);
    std::filesystem::remove_all(folder_, ignored);
  }
  std::string file(const std::string& name, const std::string& text) const {
    const auto path = folder_ / name;
    std::ofstream(path, std::ios::binary) << text;
    return path.string();
  }
  std::string stalling(const std::string& name = "stall.cu") const {
    return file(name, std::string("#include <cuda_runtime.h>\n") + kKernel +
                          "void run(float* x, float* host) {\n"
                          "  work<<<1, 1>>>(x);\n"
                          "  cudaDeviceSynchronize();\n"
                          "  work<<<1, 1>>>(x);\n"
                          "  cudaMemcpy(host, x, 4, cudaMemcpyDeviceToHost);\n"
                          "}\n");
  }

  std::filesystem::path folder_;
};

TEST_F(Program, ExitCodesSayWhatThereIsToDo) {
  const std::string stall = stalling();
  EXPECT_EQ(call({"scan", stall}).code, 1);
  EXPECT_EQ(call({"fix", stall}).code, 0);
  EXPECT_EQ(call({"scan", stall}).code, 0);
  EXPECT_EQ(call({"verify", stall}).code, 0);
  EXPECT_EQ(call({"restore", stall}).code, 0);
  EXPECT_EQ(call({"scan", stall}).code, 1);
}

TEST_F(Program, WhatCannotBeDoneIsOneLineAndTwo) {
  const std::string text = file("notes.txt", "cudaDeviceSynchronize();\n");
  const std::vector<std::vector<std::string>> wrong = {
      {"scan", (folder_ / "missing.cu").string()},
      {"scan", text},
      {"restore", stalling()},
      {"explain", stalling() + ":1"},
      {"explain", stalling()},
      {"fix", "--strategic", "never", stalling()},
      {"scan"},
      {"mend", stalling()},
      {},
  };
  for (const auto& words : wrong) {
    const Outcome outcome = call(words);
    EXPECT_EQ(outcome.code, 2) << ::testing::PrintToString(words);
    EXPECT_EQ(outcome.out, "") << ::testing::PrintToString(words);
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("cajal-sync: error: "));
  }
}

TEST_F(Program, JsonHasTheFieldsThatToolsRead) {
  const Outcome outcome = call({"scan", "--json", stalling()});
  const Json found = Json::parse(outcome.out);
  const Json& wait = found["files"][0]["waits"][0];
  EXPECT_EQ(wait["line"], 5);
  EXPECT_EQ(wait["function"], "run");
  EXPECT_EQ(wait["verdict"], "redundant");
  EXPECT_TRUE(wait["defer_to"].is_null());
  EXPECT_TRUE(wait["evidence"].is_array());
  for (const char* field : {"path", "waits", "missing", "unparsed"}) {
    EXPECT_TRUE(found["files"][0].contains(field)) << field;
  }
  EXPECT_EQ(found["summary"]["waits"], 1);
  EXPECT_EQ(found["summary"]["waits_after"], 0);
}

TEST_F(Program, SarifNamesRuleFileAndLine) {
  const std::string out = (folder_ / "out.sarif").string();
  call({"scan", "--sarif", out, stalling()});
  const Json found = Json::parse(read_file(out));
  EXPECT_EQ(found["version"], "2.1.0");
  const Json& result = found["runs"][0]["results"][0];
  EXPECT_EQ(result["ruleId"], "redundant");
  EXPECT_EQ(result["locations"][0]["physicalLocation"]["region"]["startLine"], 5);
}

TEST_F(Program, DryRunWritesNothing) {
  const std::string path = stalling();
  const std::string before = read_file(path);
  const Outcome outcome = call({"fix", "--dry-run", path});
  EXPECT_THAT(outcome.out, HasSubstr("-  cudaDeviceSynchronize();"));
  EXPECT_EQ(read_file(path), before);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST_F(Program, AFolderThatCannotBeWrittenLosesNothing) {
  if (::geteuid() == 0) GTEST_SKIP() << "root writes everywhere";
  const std::string path = stalling();
  const std::string before = read_file(path);
  std::filesystem::permissions(folder_, std::filesystem::perms(0555));
  const Outcome outcome = call({"fix", path});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(read_file(path), before);
}

TEST_F(Program, ADirectoryIsSearchedForHostsWithWaits) {
  stalling("one.cu");
  stalling("two.cu");
  file("plain.cpp", "int main() {}\n");
  file("notes.md", "cudaDeviceSynchronize");
  const Json found = Json::parse(call({"scan", "--json", folder_.string()}).out);
  EXPECT_EQ(found["files"].size(), 2U);
  EXPECT_EQ(found["summary"]["passed_over"], 1);
}

TEST_F(Program, AWholeProgramIsDecidedAcrossItsFiles) {
  file("gpu.cu", std::string(kKernel) +
                     "void forward(float* x) {\n  work<<<1, 1>>>(x);\n"
                     "  cudaDeviceSynchronize();\n}\n");
  const std::string use =
      "void forward(float* x);\n"
      "int main() {\n  float* x;\n  cudaMallocHost(&x, 4);\n  forward(x);\n  forward(x);\n";
  file("main.cu", use + "  cudaDeviceSynchronize();\n  return x[0] > 1;\n}\n");
  const auto summary = [&](const char* option) {
    std::vector<std::string> words = {"scan", "--json", folder_.string()};
    if (*option != '\0') words.insert(words.begin() + 1, option);
    return Json::parse(call(words).out)["summary"];
  };
  EXPECT_EQ(summary("")["redundant"], 0);
  EXPECT_EQ(summary("--whole-program")["redundant"], 1);
  const std::string gpu = (folder_ / "gpu.cu").string();
  const std::string line = gpu + ":4";
  EXPECT_THAT(call({"explain", line}).out, HasSubstr("required"));
  EXPECT_THAT(call({"explain", "--whole-program", line, (folder_ / "main.cu").string()}).out,
              HasSubstr("redundant"));
  // Without the wait in main, the one in forward is what protects the read.
  file("main.cu", use + "  return x[0] > 1;\n}\n");
  EXPECT_EQ(summary("--whole-program")["redundant"], 0);
  EXPECT_EQ(summary("--whole-program")["missing"], 0);
}

/// This project's own hosts wait in one place, which is there to wait.
TEST_F(Program, OwnSourcesWaitInOneFunction) {
  const std::string root = CAJAL_SOURCES;
  const Outcome outcome = call({"scan", "--json", root + "/src/runtime", root + "/src/ops",
                                root + "/src/model", root + "/src/train", root + "/src/cli", "--",
                                "-I" + root + "/include", "-I" + root + "/src"});
  const Json summary = Json::parse(outcome.out)["summary"];
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(summary["waits"], 1);
  EXPECT_EQ(summary["contract"], 1);
  EXPECT_EQ(summary["missing"], 0);
}

TEST_F(Program, ExplainTellsTheConflictAndTheWork) {
  const std::string path = file(
      "read.cu", std::string("#include <cuda_runtime.h>\n") + kKernel +
                     "float run(float* x) {\n  work<<<1, 1>>>(x);\n  cudaDeviceSynchronize();\n"
                     "  return x[0];\n}\n");
  const Outcome outcome = call({"explain", path + ":5"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.out, HasSubstr("required"));
  EXPECT_THAT(outcome.out, HasSubstr("line 6"));
  EXPECT_THAT(outcome.out, HasSubstr("line 4"));
}

}  // namespace
}  // namespace cajal::sync::testing
