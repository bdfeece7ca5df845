#include "train/model_files.h"

#include <fmt/format.h>

#include <system_error>
#include <utility>

#include "cajal/error.h"
#include "train/arena_loader.h"
#include "train/manifest.h"
#include "train/model_directory.h"
#include "train/run_adopt.h"
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

/// Of a run the newest checkpoint, whatever has become of the links to it; else the folder itself.
/// Only a run's: the trainer of transformers calls its folders checkpoint-N too. And not by a link,
/// which may lead anywhere.
fs::path folder_with_model(const fs::path& path) {
  auto newest = RunDirectory::find(path);
  std::error_code error;
  if (!newest || fs::is_symlink(fs::symlink_status(*newest, error))) return path;
  const bool is_run = fs::exists(*newest / kManifestFile, error) || is_earlier_run(path);
  return is_run ? *std::move(newest) : path;
}

}  // namespace

ModelFiles::ModelFiles(ModelWeights weights, model::GptConfig config, fs::path directory)
    : directory_(std::move(directory)), config_(config), weights_(std::move(weights)) {}

ModelFiles ModelFiles::open_folder(const fs::path& path, const fs::path& folder) {
  const ModelDirectory directory(folder);
  const model::GptConfig config = read_config(directory);
  ModelFiles files(ModelWeights(directory, config), config, path);
  files.tokenizer_ = read_tokenizer(directory, config);
  // A run on token shards has none, but may be given one.
  if (!files.tokenizer_ && folder != path) {
    files.tokenizer_ = read_tokenizer(ModelDirectory(path), config);
  }
  return files;
}

ModelFiles ModelFiles::open(const fs::path& path) {
  for (;;) {
    const fs::path folder = folder_with_model(path);
    try {
      return open_folder(path, folder);
    } catch (const Error&) {
      // A training may have removed it meanwhile, and then there is a newer one.
      if (folder_with_model(path) == folder) throw;
    }
  }
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
