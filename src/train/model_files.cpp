#include "train/model_files.h"

#include <fmt/format.h>

#include <utility>

#include "cajal/error.h"
#include "train/arena_loader.h"
#include "train/model_directory.h"
#include "train/run_directory.h"

namespace cajal::train {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargestConfig = std::size_t{1} << 20;

model::GptConfig read_config(const ModelDirectory& directory) {
  if (!directory.contains(kConfigFile)) {
    throw InvalidArgument(
        fmt::format("{} holds no model: no {}", directory.path().string(), kConfigFile),
        "name the directory of a run, as given to cajal train --out, or of a GPT-2 model");
  }
  return model::parse_config_json(directory.read_text(kConfigFile, kLargestConfig),
                                  directory.file(kConfigFile).string());
}

std::shared_ptr<const data::Tokenizer> read_tokenizer(const ModelDirectory& directory,
                                                      const model::GptConfig& config) {
  if (!directory.contains(kTokenizerFile)) return nullptr;
  directory.require_genuine(kTokenizerFile);
  const fs::path file = directory.file(kTokenizerFile);
  auto tokenizer = std::make_shared<const data::Tokenizer>(data::Tokenizer::load(file));
  if (tokenizer->vocab_size() > config.vocab_size) {
    throw Error(fmt::format("{} has {} tokens, and the model beside it only {}", file.string(),
                            tokenizer->vocab_size(), config.vocab_size),
                "put the tokenizer there that the model was trained with; one without needs token "
                "shards");
  }
  return tokenizer;
}

}  // namespace

ModelFiles::ModelFiles(ModelWeights weights, model::GptConfig config, fs::path directory)
    : directory_(std::move(directory)), config_(config), weights_(std::move(weights)) {}

ModelFiles ModelFiles::open(const fs::path& path) {
  // The names at the top of a run are links, which a kill or a copy may have left behind; the
  // newest checkpoint is whole all the same.
  const fs::path folder = RunDirectory::find(path).value_or(path);
  const ModelDirectory directory(folder);
  const model::GptConfig config = read_config(directory);
  ModelFiles files(ModelWeights(directory, config), config, folder);
  files.tokenizer_ = read_tokenizer(directory, config);
  return files;
}

std::shared_ptr<const data::Tokenizer> ModelFiles::require_tokenizer() const {
  if (tokenizer_ != nullptr) return tokenizer_;
  const bool old = fs::exists(directory_ / "vocab.json") && fs::exists(directory_ / "merges.txt");
  throw InvalidArgument(
      fmt::format("{} has no {}", directory_.string(), kTokenizerFile),
      old ? "make one of its vocab.json and merges.txt: "
            "AutoTokenizer.from_pretrained(DIRECTORY).save_pretrained(DIRECTORY) in transformers"
          : "put the tokenizer that made its token shards there, or train on such shards (.bin)");
}

void ModelFiles::load_weights(CommandQueue& queue, const model::Gpt& gpt) const {
  load_arena(queue, gpt.parameters(), gpt.parameters().master(),
             [this](const model::Parameter& parameter, std::uint64_t first,
                    std::span<float> values) { weights_.read(parameter, first, values); });
  finish_weights(queue, gpt.parameters());
}

}  // namespace cajal::train
