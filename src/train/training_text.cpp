#include "train/training_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <system_error>

#include "cajal/error.h"
#include "train/durable_file.h"

namespace cajal::train {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTokensFolder = "tokens";
constexpr const char* kSourceFile = "source.json";

bool is_shard(const std::string& path) { return fs::path(path).extension() == ".bin"; }

/// Reads the header, so that a wrong file is refused before the run begins.
void require_shard(const fs::path& path) try {
  if (!fs::exists(path)) {
    throw InvalidArgument(fmt::format("{} does not exist", path.string()),
                          "name token shards (.bin), text files or directories");
  }
  data::TokenShard{path};
} catch (const InvalidArgument&) {
  throw;
} catch (const Error& error) {
  throw InvalidArgument(error.what());
}

std::vector<fs::path> shard_files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (is_shard(entry.path().string())) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// Tells whose tokens a folder holds; written last, so that its presence says that they are whole.
std::string source_description(const Settings& settings) {
  return nlohmann::json{{"data", settings.data}, {"vocab_size", settings.vocab_size}}.dump() + "\n";
}

}  // namespace

TextSource TextSource::open(const Settings& settings) {
  TextSource source;
  const auto shards = std::count_if(settings.data.begin(), settings.data.end(), is_shard);
  if (shards != 0 && shards != static_cast<std::ptrdiff_t>(settings.data.size())) {
    throw InvalidArgument("token shards (.bin) and text cannot be mixed",
                          "name only the one or the other");
  }
  std::vector<fs::path> paths(settings.data.begin(), settings.data.end());
  if (shards != 0) {
    for (const fs::path& path : paths) require_shard(path);
    source.shard_files_ = std::move(paths);
  } else {
    source.corpus_ = data::Corpus::open(paths.empty() ? data::Corpus::default_paths() : paths);
  }
  return source;
}

std::optional<TextSource> TextSource::encoded_in(const fs::path& run, const Settings& settings) {
  const fs::path folder = run / kTokensFolder;
  if (!fs::exists(folder / kSourceFile)) return std::nullopt;
  if (read_file(folder / kSourceFile) != source_description(settings)) return std::nullopt;
  TextSource source;
  source.shard_files_ = shard_files_in(folder);
  return source;
}

data::Tokenizer TextSource::train_tokenizer(const Settings& settings, int threads,
                                            const StageProgress& progress) const {
  data::BpeOptions options;
  options.vocab_size = static_cast<int>(settings.vocab_size);
  options.threads = threads;
  options.progress = [&](double share) { progress("tokenizer", share); };
  return data::Tokenizer::train(*corpus_, options);
}

std::vector<data::TokenShard> TextSource::shards(const fs::path& run, const Settings& settings,
                                                 const data::Tokenizer* tokenizer, int threads,
                                                 const StageProgress& progress) const {
  std::vector<fs::path> files = shard_files_;
  if (corpus_) {
    data::EncodeOptions options;
    options.threads = threads;
    options.progress = [&](double share) { progress("encoding", share); };
    const fs::path folder = run / kTokensFolder;
    const fs::path temporary = temporary_name(folder);
    fs::remove_all(temporary);
    try {
      data::write_shards(*corpus_, *tokenizer, temporary, options);
      write_file_atomically(temporary / kSourceFile, source_description(settings));
    } catch (...) {
      std::error_code ignored;
      fs::remove_all(temporary, ignored);
      throw;
    }
    fs::remove_all(folder);
    fs::rename(temporary, folder);
    files = shard_files_in(folder);
  }
  std::vector<data::TokenShard> shards;
  shards.reserve(files.size());
  for (const fs::path& file : files) shards.emplace_back(file);
  return shards;
}

void TextSource::discard(const fs::path& run) {
  std::error_code ignored;
  fs::remove_all(run / kTokensFolder, ignored);
}

}  // namespace cajal::train
