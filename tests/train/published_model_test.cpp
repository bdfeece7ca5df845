// Training on, and text from, folders as other programs write them.
#include <gmock/gmock.h>

#include <fstream>
#include <limits>

#include "train/generate.h"
#include "train/model_folder.h"
#include "train/training_fixture.h"

namespace cajal::testing {
namespace {

using ::testing::HasSubstr;

class PublishedModel : public TrainingTest {
 protected:
  train::TrainOptions from_model(const std::string& out) const {
    auto o = options(out);
    o.vocab_size.reset();
    o.steps = 3;
    o.init = model_.path();
    return o;
  }
  std::string text(const std::filesystem::path& folder, const std::string& prompt = "the") const {
    std::string text;
    train::GenerateOptions o;
    o.directory = folder;
    o.prompt = prompt;
    o.max_tokens = 20;
    o.device = test_device_name();
    const std::atomic<bool> stop{false};
    summary_ = train::generate(
        o, [&](std::string_view part) { text += part; }, stop);
    return text;
  }

  train::ModelFolder model_;
  mutable train::GenerateSummary summary_;
};

TEST_F(PublishedModel, EveryFormGivesTheSameTextAndTheSameTraining) {
  model_.put_all();
  const std::string plain = text(model_.path());
  EXPECT_EQ(summary_.new_tokens, 20);
  Recorder first;
  run(from_model("plain"), first);
  for (const char* dtype : {"BF16", "F16"}) {
    model_.put_weights(model_.tensors(dtype, false));
    EXPECT_EQ(text(model_.path()), plain) << dtype;
  }
  std::filesystem::remove(model_ / "model.safetensors");
  model_.put_shards(model_.tensors("F16", false), 2);
  EXPECT_EQ(text(model_.path()), plain);
  Recorder second;
  run(from_model("shards"), second);
  EXPECT_EQ(first.losses(), second.losses());
  expect_same_weights("plain", "shards");
  EXPECT_FALSE(text(folder_ / "shards").empty()) << "what was trained opens again";
}

TEST_F(PublishedModel, ARefusedModelLeavesNothingBehind) {
  const auto refused = [&](const char* problem) {
    EXPECT_THAT([&] { run(from_model("refused")); },
                ::testing::ThrowsMessage<Error>(HasSubstr(problem)));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "refused")) << problem;
  };
  model_.put_all();
  model_.put_tokenizer(262);
  refused("has 262 tokens, and the model beside it only 257");
  EXPECT_THROW(text(model_.path()), Error);
  std::filesystem::remove(model_ / "tokenizer.json");
  refused("has no tokenizer.json");
  model_.put_tokenizer();
  auto tensors = model_.tensors();
  tensors.pop_back();
  model_.put_weights(tensors);
  refused("has no tensor");
  tensors = model_.tensors();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(tensors.back().bytes.data(), &nan, sizeof(nan));
  model_.put_weights(tensors);
  refused("not finite");
  train::put(model_ / "model.safetensors", "version https://git-lfs.github.com/spec/v1\n");
  refused("git lfs pull");
  train::put(model_ / "config.json", "<html>");
  refused("web page");
}

/// As transformers' tokenizers read a prompt.
TEST_F(PublishedModel, ASpecialTokenInThePromptIsThatToken) {
  model_.put_all();
  text(model_.path(), "<|endoftext|>the<|endoftext|>");
  EXPECT_EQ(summary_.prompt_tokens, 5);
}

}  // namespace
}  // namespace cajal::testing
