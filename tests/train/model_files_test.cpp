#include "train/model_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "cajal/error.h"
#include "device_fixture.h"
#include "model_folder.h"
#include "train/arena_loader.h"
#include "train/manifest.h"

namespace cajal::train {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::string problem_with(const std::filesystem::path& folder) {
  try {
    ModelFiles::open(folder);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

class ModelFilesTest : public cajal::testing::DeviceTest {
 protected:
  /// The whole arena on the device after a load, padding included.
  std::vector<float> loaded() const {
    const auto device = cajal::testing::open_test_device();
    CommandQueue queue(device);
    const ModelFiles files = ModelFiles::open(folder_.path());
    const model::Gpt gpt(device, files.config(), DType::f32);
    files.load_weights(queue, gpt);
    std::vector<float> values(static_cast<std::size_t>(gpt.parameters().size()));
    queue.read(gpt.parameters().master().buffer, std::as_writable_bytes(std::span(values)),
               WaitReason::evaluation);
    return values;
  }
  std::vector<float> expected() const {
    const auto device = cajal::testing::open_test_device();
    const model::Gpt gpt(device, folder_.config(), DType::f32);
    std::vector<float> arena(static_cast<std::size_t>(gpt.parameters().size()), 0.0F);
    for (const model::Parameter& parameter : gpt.parameters().all()) {
      std::ranges::copy(folder_.values(parameter.spec.name), arena.begin() + parameter.offset);
    }
    return arena;
  }

  ModelFolder folder_;
};

/// Constants that older versions of transformers saved beside the weights.
std::vector<RawTensor> masks(const std::string& dtype, std::size_t width, const char* prefix) {
  return {{std::string(prefix) + "h.0.attn.bias",
           dtype,
           {1, 1, 64, 64},
           std::string(64 * 64 * width, '\1')},
          {std::string(prefix) + "h.1.attn.masked_bias", dtype, {}, std::string(width, '\1')}};
}

TEST_F(ModelFilesTest, EveryPublishedFormGivesTheSameWeights) {
  folder_.put_config();
  const std::vector<float> want = expected();
  const auto check = [&](const char* form) {
    EXPECT_EQ(problem_with(folder_.path()), "") << form;
    EXPECT_TRUE(loaded() == want) << form;
    EXPECT_THAT(ModelFiles::open(folder_.path()).warnings(), IsEmpty()) << form;
  };
  for (const char* dtype : {"F32", "BF16", "F16"}) {
    for (const bool prefix : {true, false}) {
      folder_.put_weights(folder_.tensors(dtype, prefix));
      check(dtype);
    }
  }
  folder_.put_weights(folder_.tensors(), "null");
  check("metadata of null");
  for (const auto& [dtype, width] : {std::pair("BOOL", 1), {"U8", 1}, {"F32", 4}, {"F64", 8}}) {
    for (const char* prefix : {"transformer.", ""}) {
      auto tensors = folder_.tensors("F32", *prefix != '\0');
      const auto more = masks(dtype, static_cast<std::size_t>(width), prefix);
      tensors.insert(tensors.begin(), more.begin(), more.end());
      folder_.put_weights(tensors);
      check(dtype);
    }
  }
  auto tied = folder_.tensors("BF16");
  tied.push_back({"lm_head.weight",
                  "F32",
                  {257, 16},
                  encoded(folder_.values("transformer.wte.weight"), "F32")});
  folder_.put_weights(tied);
  check("tied head");

  std::filesystem::remove(folder_ / "model.safetensors");
  auto mixed = folder_.tensors("F16", false);
  mixed[0] = folder_.tensors("F32", false)[0];
  mixed[1] = folder_.tensors("BF16", false)[1];
  for (const std::size_t count : {1U, 3U}) {
    folder_.put_shards(mixed, count);
    check("shards");
  }
}

/// A run is opened by the names of its checkpoints: its links may be lost, half made, or old.
TEST_F(ModelFilesTest, ARunOpensWithoutLinks) {
  namespace fs = std::filesystem;
  folder_.put_all();
  const TemporaryDirectory run;
  const auto add = [&](const char* checkpoint) {
    fs::create_directory(run / checkpoint);
    for (const char* name : {"config.json", "model.safetensors", "tokenizer.json"}) {
      fs::copy(folder_ / name, run / checkpoint / name);
    }
    write_manifest(run / checkpoint, {hash_folder(run / checkpoint, {}), std::nullopt});
  };
  add("checkpoint-9");
  EXPECT_NE(ModelFiles::open(run.path()).tokenizer(), nullptr);  // A copy that lost the marker too.
  fs::create_symlink("checkpoint-9", run / "latest");
  fs::create_symlink("latest/config.json", run / "config.json");
  EXPECT_NE(ModelFiles::open(run.path()).tokenizer(), nullptr);
  put(run / "checkpoint-9/config.json", "{}");  // From here on the older one does not open.
  EXPECT_NE(problem_with(run.path()), "");
  add("checkpoint-10");
  EXPECT_NE(ModelFiles::open(run.path()).tokenizer(), nullptr);
  // One on token shards has no tokenizer, and is given one where its user sees it.
  fs::remove(run / "checkpoint-10/tokenizer.json");
  EXPECT_THAT([&] { ModelFiles::open(run.path()).require_tokenizer(); },
              ::testing::ThrowsMessage<InvalidArgument>(
                  HasSubstr(run.path().string() + " has no tokenizer.json")));
  fs::copy(folder_ / "tokenizer.json", run / "tokenizer.json");
  EXPECT_NE(ModelFiles::open(run.path()).tokenizer(), nullptr);
  // Nor may a name lead out of the folder.
  fs::create_directory_symlink(folder_.path(), run / "checkpoint-11");
  write_manifest(folder_.path(), {});
  EXPECT_NE(problem_with(run.path()), "");
}

/// The trainer of transformers puts the final model beside folders of that name.
TEST_F(ModelFilesTest, OtherFoldersOfCheckpointsAreNoRun) {
  folder_.put_all();
  std::filesystem::create_directory(folder_ / "checkpoint-500");
  put(folder_ / "checkpoint-500/config.json", "{}");
  put(folder_ / "checkpoint-500/trainer_state.json", R"({"global_step":500,"epoch":1.0})");
  EXPECT_EQ(problem_with(folder_.path()), "");
}

TEST_F(ModelFilesTest, AnyPieceLoadsTheSame) {
  folder_.put_all();
  const auto device = cajal::testing::open_test_device();
  CommandQueue queue(device);
  const model::Gpt gpt(device, folder_.config(), DType::f32);
  const std::vector<float> want = expected();
  const auto source = [&](const model::Parameter& parameter, std::uint64_t first,
                          std::span<float> values) {
    const auto& all = folder_.values(parameter.spec.name);
    ASSERT_LE(first + values.size(), all.size());
    std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(first), values.size(), values.begin());
  };
  for (const std::int64_t piece : {16, 1008, 1 << 20}) {
    const std::vector<float> noise(want.size(), std::numeric_limits<float>::quiet_NaN());
    queue.write(std::as_bytes(std::span(noise)), gpt.parameters().master().buffer,
                WaitReason::evaluation);
    load_arena(queue, gpt.parameters(), gpt.parameters().master(), source, piece);
    std::vector<float> got(want.size());
    queue.read(gpt.parameters().master().buffer, std::as_writable_bytes(std::span(got)),
               WaitReason::evaluation);
    EXPECT_TRUE(got == want) << piece;
  }
}

TEST_F(ModelFilesTest, AFileCutOffAfterItWasOpenedIsAnError) {
  folder_.put_all();
  const auto device = cajal::testing::open_test_device();
  CommandQueue queue(device);
  const ModelFiles files = ModelFiles::open(folder_.path());
  const model::Gpt gpt(device, files.config(), DType::f32);
  std::filesystem::resize_file(folder_ / "model.safetensors", 8000);
  try {
    files.load_weights(queue, gpt);
    ADD_FAILURE() << "loaded what is not there";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("model.safetensors has become shorter"));
  }
}

TEST_F(ModelFilesTest, ANumberThatIsNotFiniteIsNamed) {
  folder_.put_all();
  auto tensors = folder_.tensors();
  const float infinity = std::numeric_limits<float>::infinity();
  std::memcpy(tensors[7].bytes.data() + 8, &infinity, sizeof(infinity));
  folder_.put_weights(tensors);
  EXPECT_THAT([&] { loaded(); }, ::testing::ThrowsMessage<Error>(
                                     AllOf(HasSubstr(tensors[7].name), HasSubstr("finite"))));
}

TEST_F(ModelFilesTest, HeadsForOtherTasksArePassedOverAloud) {
  folder_.put_all();
  auto tensors = folder_.tensors();
  tensors.push_back({"score.weight", "F32", {2, 16}, std::string(128, 'x')});
  folder_.put_weights(tensors);
  EXPECT_THAT(ModelFiles::open(folder_.path()).warnings(),
              ElementsAre(AllOf(HasSubstr("passed over"), HasSubstr("\"score.weight\""))));
  EXPECT_TRUE(loaded() == expected());
}

TEST_F(ModelFilesTest, OtherWeightsAreRefusedByName) {
  const auto refused = [&](auto change, std::initializer_list<const char*> words) {
    folder_.put_config();
    auto tensors = folder_.tensors();
    change(tensors);
    folder_.put_weights(tensors);
    const std::string problem = problem_with(folder_.path());
    EXPECT_THAT(problem, AllOf(HasSubstr("model.safetensors"), Not(HasSubstr("\n"))));
    for (const char* word : words) EXPECT_THAT(problem, HasSubstr(word));
  };
  using Tensors = std::vector<RawTensor>;
  refused([](Tensors& t) { t.pop_back(); }, {"has no tensor \"transformer.ln_f.bias\""});
  refused([](Tensors& t) { t.erase(t.begin() + 1, t.end()); },
          {"has no tensor \"transformer.wpe.weight\"", "is \"transformer.wte.weight\""});
  refused([](Tensors& t) { t.clear(); }, {"has no tensor", "is none"});
  refused(
      [](Tensors& t) {
        t[1].shape = {16, 64};
      },
      {"\"transformer.wpe.weight\" is F32 [16, 64]", "[64, 16]", "another model"});
  refused(
      [](Tensors& t) {
        t[1].dtype = "I8";
        t[1].bytes.resize(64 * 16);
      },
      {"\"transformer.wpe.weight\" is I8 [64, 16]", "F32, BF16 and F16"});
  refused(
      [](Tensors& t) {
        t.push_back(t[0]);
        t.back().name = "wte.weight";
      },
      {"both \"transformer.wte.weight\" and \"wte.weight\""});
  refused(
      [](Tensors& t) {
        t.push_back(t[2]);
        t.back().name = "transformer.h.2.ln_1.weight";
      },
      {"GPT-2 of its config.json has not: \"transformer.h.2.ln_1.weight\""});
  refused(
      [](Tensors& t) {
        t.push_back(t[0]);
        t.back().name = "lm_head.weight";
        t.back().bytes.back() = '\x11';
      },
      {"\"lm_head.weight\" differs from the embedding"});
  refused(
      [](Tensors& t) {
        t.push_back({"lm_head.weight", "F32", {1, 16}, std::string(64, 'x')});
      },
      {"\"lm_head.weight\" is F32 [1, 16]", "F32 [257, 16]"});
}

TEST_F(ModelFilesTest, ShardsThatDoNotBelongTogetherAreRefused) {
  folder_.put_config();
  const auto shards = [&] { folder_.put_shards(folder_.tensors(), 2); };
  shards();
  ASSERT_EQ(problem_with(folder_.path()), "");

  std::filesystem::remove(folder_ / "model-00002.safetensors");
  EXPECT_THAT(problem_with(folder_.path()),
              AllOf(HasSubstr("model-00002.safetensors is missing"), HasSubstr("download it too")));
  write_raw_safetensors(folder_ / "model-00002.safetensors", {folder_.tensors()[1]});
  EXPECT_THAT(problem_with(folder_.path()), HasSubstr("model-00002.safetensors has no tensor"));
  write_raw_safetensors(folder_ / "model-00002.safetensors", folder_.tensors());
  EXPECT_THAT(problem_with(folder_.path()), HasSubstr("both hold tensor"));
  shards();
  put(folder_ / "model-00001.safetensors",
      "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n");
  EXPECT_THAT(
      problem_with(folder_.path()),
      AllOf(HasSubstr("model-00001.safetensors is a Git LFS pointer"), HasSubstr("git lfs pull")));
}

TEST_F(ModelFilesTest, OneFileGoesBeforeAnIndexAsInTransformers) {
  folder_.put_all();
  put(folder_ / "model.safetensors.index.json", "no index");
  EXPECT_EQ(problem_with(folder_.path()), "");
}

TEST_F(ModelFilesTest, WhatStandsInPlaceOfWeightsIsNamed) {
  folder_.put_config();
  EXPECT_THAT(problem_with(folder_.path()), HasSubstr("has no model.safetensors"));
  put(folder_ / "pytorch_model.bin", "x");
  EXPECT_THAT(problem_with(folder_.path()),
              AllOf(HasSubstr("but pytorch_model.bin"), HasSubstr("save_pretrained")));
  const struct {
    std::string bytes;
    const char* problem;
  } cases[]{
      {"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 548105171\n",
       "is a Git LFS pointer, not the file itself; run 'git lfs install' and 'git lfs pull'"},
      {"\n <!DOCTYPE html><html>Sign in</html>", "is a web page"},
      {"<?xml version='1.0'?><Error>AccessDenied</Error>", "is a web page"},
      {std::string("PK\3\4\0\0\10\10", 8) + std::string(100, 'x'),
       "is a zip archive, as PyTorch's"},
      {"\x80\2}q", "is a Python pickle"},
      {"GGUF\3", "is a GGUF file"},
      {std::string(4096, '\0'), "nothing but zeros"},
      {"", "is empty"},
      {"hello, world", "is not a whole safetensors file"},
  };
  for (const auto& [bytes, problem] : cases) {
    put(folder_ / "model.safetensors", bytes);
    EXPECT_THAT(problem_with(folder_.path()),
                AllOf(HasSubstr("model.safetensors"), HasSubstr(problem), Not(HasSubstr("\n"))));
  }
}

/// The first bytes are a size, and may be any: 640 begins as a pickle does, 35615 as gzip.
TEST_F(ModelFilesTest, AHeaderWhoseSizeLooksLikeAnotherFormatIsStillAHeader) {
  folder_.put_all();
  for (const std::size_t size : {std::size_t{640}, std::size_t{35615}}) {
    std::string header = "{}";
    header.resize(size, ' ');
    std::string file(sizeof(size), '\0');
    std::memcpy(file.data(), &size, sizeof(size));
    put(folder_ / "model.safetensors", file + header);
    EXPECT_THAT(problem_with(folder_.path()), HasSubstr("has no tensor"));
  }
}

TEST_F(ModelFilesTest, ConfigAndTokenizerMayBePointersToo) {
  folder_.put_all();
  const char* const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\n";
  put(folder_ / "tokenizer.json", pointer);
  EXPECT_THAT(problem_with(folder_.path()), HasSubstr("tokenizer.json is a Git LFS pointer"));
  put(folder_ / "tokenizer.json", "<html>404</html>");
  EXPECT_THAT(problem_with(folder_.path()), HasSubstr("tokenizer.json is a web page"));
  put(folder_ / "config.json", pointer);
  EXPECT_THAT(problem_with(folder_.path()), HasSubstr("config.json is a Git LFS pointer"));
  put(folder_ / "config.json", std::string(std::size_t{2} << 20, ' '));
  EXPECT_THAT(problem_with(folder_.path()), HasSubstr("config.json has more than"));
}

TEST_F(ModelFilesTest, TheTokenizerMustFitTheModel) {
  folder_.put_all();
  EXPECT_EQ(ModelFiles::open(folder_.path()).require_tokenizer()->vocab_size(), 257);
  folder_.put_tokenizer(260);
  EXPECT_THAT(problem_with(folder_.path()),
              AllOf(HasSubstr("has 260 tokens"), HasSubstr("only 257")));
  std::filesystem::remove(folder_ / "tokenizer.json");
  const ModelFiles files = ModelFiles::open(folder_.path());
  EXPECT_EQ(files.tokenizer(), nullptr);
  EXPECT_THROW(files.require_tokenizer(), InvalidArgument);
  put(folder_ / "vocab.json", "{}");
  put(folder_ / "merges.txt", "");
  EXPECT_THAT([&] { files.require_tokenizer(); },
              ::testing::ThrowsMessage<InvalidArgument>(HasSubstr("AutoTokenizer")));
}

TEST_F(ModelFilesTest, WhatIsNoModelIsAnInvalidArgument) {
  EXPECT_THROW(ModelFiles::open(folder_.path()), InvalidArgument);
  EXPECT_THROW(ModelFiles::open(folder_ / "none"), InvalidArgument);
  folder_.put_config();
  EXPECT_THROW(ModelFiles::open(folder_.path()), InvalidArgument);
  EXPECT_THROW(ModelFiles::open(folder_ / "config.json"), InvalidArgument);
}

}  // namespace
}  // namespace cajal::train
