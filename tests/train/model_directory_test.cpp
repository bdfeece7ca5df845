#include "train/model_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "cajal/error.h"
#include "temporary_directory.h"
#include "train/model_files.h"
#include "train/safetensors_index.h"

namespace cajal::train {
namespace {

namespace fs = std::filesystem;

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

template <class Work>
std::string problem_of(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

class ModelDirectoryTest : public testing::Test {
 protected:
  ModelDirectoryTest() { fs::create_directory(folder_ / "model"); }

  fs::path inside(std::string_view name) const { return folder_ / "model" / name; }
  std::string problem_with(std::string_view name) const {
    return problem_of([&] { ModelDirectory(folder_ / "model").open(name); });
  }

  TemporaryDirectory folder_;
};

TEST_F(ModelDirectoryTest, ReadsItsOwnFilesAndLinksBetweenThem) {
  put(inside("a"), "text");
  fs::create_directory(inside("checkpoint-1"));
  put(inside("checkpoint-1/b"), "more");
  fs::create_symlink("checkpoint-1", inside("latest"));
  fs::create_symlink("latest/b", inside("b"));
  fs::create_directory_symlink(folder_ / "model", folder_ / "link");
  for (const fs::path& path : {folder_ / "model", folder_ / "link"}) {
    const ModelDirectory directory(path);
    EXPECT_EQ(directory.read_text("a", 4), "text");
    EXPECT_EQ(directory.read_text("b", 100), "more");
    EXPECT_THAT(problem_of([&] { directory.read_text("a", 3); }), HasSubstr("more than 3 bytes"));
  }
}

TEST_F(ModelDirectoryTest, NoLinkLeadsOut) {
  put(folder_ / "secret", "text");
  put(folder_ / "model-2", "text");  // Begins as the folder's own name does.
  fs::create_symlink("../secret", inside("relative"));
  fs::create_symlink(folder_ / "secret", inside("absolute"));
  fs::create_symlink("../model-2", inside("sibling"));
  fs::create_directory_symlink("..", inside("up"));
  fs::create_symlink("up/secret", inside("twice"));
  fs::create_symlink("/dev/null", inside("device"));
  for (const char* name : {"relative", "absolute", "sibling", "twice", "device"}) {
    EXPECT_THAT(problem_with(name),
                AllOf(HasSubstr(name), HasSubstr("leads out of its directory"), HasSubstr("copy")));
  }
}

TEST_F(ModelDirectoryTest, TheBlobsOfHuggingFacesCacheAreReached) {
  const fs::path cache = folder_ / "hub/models--openai-community--gpt2";
  fs::create_directories(cache / "blobs");
  fs::create_directories(cache / "snapshots/607a30d7");
  put(cache / "blobs/248dfc39", "text");
  fs::create_symlink("../../blobs/248dfc39", cache / "snapshots/607a30d7/model.safetensors");
  EXPECT_EQ(ModelDirectory(cache / "snapshots/607a30d7").read_text("model.safetensors", 9), "text");
  // The cache's own other files are no blobs.
  put(cache / "refs", "text");
  fs::create_symlink("../../refs", cache / "snapshots/607a30d7/config.json");
  EXPECT_THAT(problem_of([&] { ModelDirectory(cache / "snapshots/607a30d7").open("config.json"); }),
              HasSubstr("leads out"));
}

TEST_F(ModelDirectoryTest, WhatIsNoFileIsAnErrorAndNoHang) {
  ASSERT_EQ(::mkfifo(inside("pipe").c_str(), 0600), 0);
  fs::create_directory(inside("folder"));
  fs::create_symlink("nowhere", inside("dangling"));
  fs::create_symlink("loop", inside("loop"));
  EXPECT_THAT(problem_with("pipe"), HasSubstr("pipe is no file"));
  EXPECT_THAT(problem_with("folder"), HasSubstr("folder is no file"));
  EXPECT_THAT(problem_with("dangling"), HasSubstr("No such file"));
  EXPECT_THAT(problem_with("loop"), HasSubstr("loop"));
  EXPECT_THAT(problem_with("none"), HasSubstr("No such file"));
  EXPECT_TRUE(ModelDirectory(folder_ / "model").contains("dangling"));
  EXPECT_FALSE(ModelDirectory(folder_ / "model").contains("none"));
}

TEST(SafetensorsIndex, GivesTheFileOfEveryTensor) {
  EXPECT_THAT(
      parse_safetensors_index(R"({"metadata":{"total_size":1,"x":[[{}]]},"weight_map":)"
                              R"({"a":"1.safetensors","b":"2.safetensors"},"weight_maps":{"c":1}})",
                              "index"),
      ElementsAre(Pair("a", "1.safetensors"), Pair("b", "2.safetensors")));
}

TEST(SafetensorsIndex, NoNameLeadsOutOfItsFolder) {
  for (const char* name : {"../x.safetensors", "/x.safetensors", "a/x.safetensors", "..", ".", "",
                           "a\\\\x.safetensors", "x\\u0000.safetensors", "./x.safetensors",
                           "\\u002e./x.safetensors"}) {
    const std::string text = std::string(R"({"weight_map":{"a":")") + name + R"("}})";
    EXPECT_THAT(problem_of([&] { parse_safetensors_index(text, "index"); }),
                AllOf(HasSubstr("index names the file"), HasSubstr("not in its own directory"),
                      Not(HasSubstr("\n"))))
        << name;
  }
}

TEST(SafetensorsIndex, EveryWrongFieldIsNoticed) {
  const struct {
    std::string text;
    const char* problem;
  } cases[]{
      {"", "is no JSON"},
      {"[]", "is no JSON object"},
      {"1", "is no JSON object"},
      {"{}", "has no \"weight_map\""},
      {R"({"weight_map":1})", "no JSON object"},
      {R"({"weight_map":[]})", "no JSON object"},
      {R"({"weight_map":{}})", "names no tensor"},
      {R"({"weight_map":{"a":1}})", "names no file for tensor \"a\""},
      {R"({"weight_map":{"a":["x"]}})", "names no file for tensor \"a\""},
      {R"({"weight_map":{"a":{"b":"x"}}})", "names no file for tensor \"a\""},
      {R"({"weight_map":{"a":"pytorch_model.bin"}})", "which is no .safetensors"},
      {R"({"weight_map":{"a":"x.safetensors","a":"y.safetensors"}})", "tensor \"a\" twice"},
      {R"({"weight_map":{"a":"x.safetensors"},"weight_map":{}})", "two \"weight_map\"s"},
      {R"({"metadata":)" + std::string(1'000'000, '['), "nested too deep"},
      {R"({"weight_map":{"a":"x.safetensors"})", "is no JSON"},
  };
  for (const auto& wrong : cases) {
    EXPECT_THAT(problem_of([&] { parse_safetensors_index(wrong.text, "index"); }),
                AllOf(HasSubstr("index"), HasSubstr(wrong.problem), Not(HasSubstr("\n"))))
        << wrong.text.substr(0, 80);
  }
}

}  // namespace
}  // namespace cajal::train
