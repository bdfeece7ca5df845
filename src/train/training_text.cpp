#include "train/training_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>
#include <system_error>
#include <utility>

#include "cajal/error.h"
#include "train/checksum.h"
#include "train/durable_file.h"
#include "train/manifest.h"
#include "train/run_layout.h"
#include "train/text_stamps.h"

namespace cajal::train {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kSourceFile = "source.json";
constexpr int kSourceVersion = 1;
constexpr std::int64_t kSampledTokens = 2048;
constexpr std::int64_t kSamples =
    16;  // Of a shard, the first at its beginning, the last at its end.

bool is_shard(const fs::path& path) {
  std::error_code ignored;
  return path.extension() == ".bin" && !fs::is_directory(path, ignored);
}

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

[[noreturn]] void refuse_mixture(const fs::path& shard, std::size_t shards, const fs::path& text,
                                 std::size_t texts) {
  const auto several = [](const fs::path& first, std::size_t count) {
    return count == 1 ? first.string() : fmt::format("{} and {} more", first.string(), count - 1);
  };
  throw InvalidArgument(fmt::format("token shards ({}) and text ({}) cannot be mixed",
                                    several(shard, shards), several(text, texts)),
                        "name only the one or the other, such as DIRECTORY/*.bin");
}

std::vector<fs::path> shard_files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (is_shard(entry.path())) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<fs::path> named_paths(const Settings& settings) {
  if (settings.data.empty()) return data::Corpus::default_paths();
  return {settings.data.begin(), settings.data.end()};
}

/// What decides, beside the text itself, which tokens it becomes.
json asked_for(const Settings& settings) {
  return {{"version", kSourceVersion},
          {"data", settings.data},
          {"vocab_size", settings.vocab_size},
          {"parse_special", settings.parse_special}};
}

json to_json(const data::CorpusStats& stats) {
  return {{"files", stats.files},
          {"bytes", stats.bytes},
          {"binary", stats.skipped_binary},
          {"invalid", stats.skipped_invalid},
          {"unreadable", stats.skipped_unreadable},
          {"hidden", stats.skipped_hidden},
          {"runs", stats.skipped_runs},
          {"repaired_files", stats.repaired_files},
          {"repaired_bytes", stats.repaired_bytes},
          {"cut_short", stats.cut_short}};
}

data::CorpusStats stats_from_json(const json& object) {
  data::CorpusStats stats;
  object.at("files").get_to(stats.files);
  object.at("bytes").get_to(stats.bytes);
  object.at("binary").get_to(stats.skipped_binary);
  object.at("invalid").get_to(stats.skipped_invalid);
  object.at("unreadable").get_to(stats.skipped_unreadable);
  object.at("hidden").get_to(stats.skipped_hidden);
  object.at("runs").get_to(stats.skipped_runs);
  object.at("repaired_files").get_to(stats.repaired_files);
  object.at("repaired_bytes").get_to(stats.repaired_bytes);
  object.at("cut_short").get_to(stats.cut_short);
  return stats;
}

/// What source.json says of the text that tokens were made from.
struct SourceRecord {
  json asked;
  std::vector<TextStamp> files;
  data::CorpusStats stats;
};

SourceRecord read_source(const fs::path& folder) try {
  const json object = json::parse(read_file(folder / kSourceFile));
  return {object.at("asked"), stamps_from_json(object.at("files")),
          stats_from_json(object.at("read"))};
} catch (const json::exception&) {
  throw Error(fmt::format("{} is not as cajal writes it", (folder / kSourceFile).string()));
}

/// How the text differs from what it was, or why that cannot be told: `gone` is set then.
std::string changes_since(const SourceRecord& record, const Settings& settings, bool& gone) try {
  return describe_changes(record.files, data::list_text_files(named_paths(settings)));
} catch (const InvalidArgument& error) {
  gone = true;
  return error.what();
}

void hash_shard(const data::TokenShard& shard, Hasher& hasher) {
  const std::int64_t count = shard.count();
  hasher.update(std::as_bytes(std::span(&count, 1)));
  std::vector<std::uint16_t> block(
      static_cast<std::size_t>(std::min<std::int64_t>(count, kSampledTokens)));
  const std::int64_t last = count - static_cast<std::int64_t>(block.size());
  for (std::int64_t i = 0; i < kSamples; ++i) {
    shard.read(last / (kSamples - 1) * i + last % (kSamples - 1) * i / (kSamples - 1), block);
    hasher.update(std::as_bytes(std::span(block)));
  }
}

}  // namespace

TextSource TextSource::open(const Settings& settings) {
  TextSource source;
  std::vector<fs::path> texts;
  for (const fs::path& path : named_paths(settings)) {
    (is_shard(path) ? source.shard_files_ : texts).push_back(path);
  }
  for (const fs::path& path : source.shard_files_) require_shard(path);
  if (texts.empty()) return source;

  data::Corpus corpus = data::Corpus::open_text_or_shards(texts);
  for (const fs::path& path : corpus.shards()) {
    require_shard(path);
    source.shard_files_.push_back(path);
  }
  if (!source.shard_files_.empty() && !corpus.files().empty()) {
    refuse_mixture(source.shard_files_.front(), source.shard_files_.size(), corpus.files().front(),
                   corpus.files().size());
  }
  if (source.shard_files_.empty()) {
    source.stats_ = corpus.stats();
    source.corpus_ = std::move(corpus);
  }
  return source;
}

TextSource::Encoded TextSource::encoded_in(const fs::path& run, const Settings& settings) {
  const fs::path folder = run / kTokensFolder;
  if (!fs::exists(folder / kSourceFile)) return {};
  try {
    verify(folder);
    const SourceRecord record = read_source(folder);
    if (record.asked != asked_for(settings)) return {};
    bool gone = false;
    const std::string changes = changes_since(record, settings, gone);
    if (!changes.empty() && !gone) return {std::nullopt, changes};
    TextSource source;
    source.shard_files_ = shard_files_in(folder);
    source.stats_ = record.stats;
    return {std::move(source),
            gone ? fmt::format("{}; the tokens made from it earlier are read", changes) : ""};
  } catch (const Error& error) {
    return {std::nullopt, error.what()};
  }
}

data::Tokenizer TextSource::train_tokenizer(const Settings& settings, int threads,
                                            const StageProgress& progress) const {
  data::BpeOptions options;
  options.vocab_size = static_cast<int>(settings.vocab_size);
  options.threads = threads;
  options.parse_special = settings.parse_special;
  options.progress = [&](double share) { progress("tokenizer", share); };
  return data::Tokenizer::train(*corpus_, options);
}

std::vector<data::TokenShard> TextSource::shards(RunDirectory& run, const Settings& settings,
                                                 const data::Tokenizer* tokenizer, int threads,
                                                 const StageProgress& progress) {
  if (corpus_) {
    data::EncodeOptions options;
    options.threads = threads;
    options.parse_special = settings.parse_special;
    options.progress = [&](double share) { progress("encoding", share); };
    run.replace_folder(kTokensFolder, [&](const fs::path& folder) {
      // Before the text is read: a file that changes meanwhile differs from its stamp.
      const json files = to_json(stamps_of(corpus_->files()));
      stats_ = data::write_shards(*corpus_, *tokenizer, folder, options).read;
      const json source = {
          {"asked", asked_for(settings)}, {"read", to_json(stats_)}, {"files", files}};
      write_file_atomically(folder / kSourceFile,
                            source.dump(1, ' ', false, json::error_handler_t::replace) + "\n");
      return std::vector<ManifestEntry>{};
    });
    shard_files_ = shard_files_in(run.path() / kTokensFolder);
  }
  std::vector<data::TokenShard> shards;
  shards.reserve(shard_files_.size());
  for (const fs::path& file : shard_files_) shards.emplace_back(file);
  return shards;
}

std::string TextSource::fingerprint() const {
  Hasher hasher;
  for (const fs::path& file : shard_files_) hash_shard(data::TokenShard(file), hasher);
  return fmt::format("{:016x}", hasher.value());
}

void TextSource::discard(RunDirectory& run) { run.remove_folder(kTokensFolder); }

}  // namespace cajal::train
