// Time to train and to encode with the tokenizer.
//   tokenizer_bench [--threads N] [--vocab-size N] [PATH...]
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <random>
#include <vector>

#include "cajal/error.h"
#include "data/corpus.h"
#include "data/parallel.h"
#include "data/token_shard.h"
#include "data/tokenizer.h"

namespace {

using namespace cajal::data;
namespace fs = std::filesystem;

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The median of five runs, after one to warm the file cache.
double median_seconds(const std::function<void()>& work) {
  work();
  std::vector<double> seconds;
  for (int run = 0; run < 5; ++run) seconds.push_back(seconds_of(work));
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

/// A directory that goes when the program does.
class TemporaryDirectory {
 public:
  TemporaryDirectory()
      : path_(fs::temp_directory_path() /
              fmt::format("cajal-tokenizer-bench-{:08x}", std::random_device{}())) {}
  ~TemporaryDirectory() {
    std::error_code error;
    fs::remove_all(path_, error);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::int64_t count_tokens(const std::vector<fs::path>& shards) {
  std::int64_t tokens = 0;
  for (const fs::path& shard : shards) {
    tokens += TokenShard(shard).count();
  }
  return tokens;
}

void run(std::vector<fs::path> paths, const BpeOptions& options) {
  if (paths.empty()) paths = Corpus::default_paths();
  const Corpus corpus = Corpus::open(paths);
  const double megabytes = static_cast<double>(corpus.stats().bytes) / 1e6;
  const auto report = [&](const char* what, double seconds) {
    fmt::print("{:8} {:8.3f} s {:8.1f} MB/s\n", what, seconds, megabytes / seconds);
  };
  fmt::print("{} files, {:.2f} MB, {} threads\n", corpus.stats().files, megabytes, options.threads);

  report("train", median_seconds([&] { Tokenizer::train(corpus, options); }));
  const Tokenizer tokenizer = Tokenizer::train(corpus, options);
  const TemporaryDirectory directory;
  EncodeOptions encode_options;
  encode_options.threads = options.threads;
  std::vector<fs::path> shards;
  report("encode", median_seconds([&] {
           shards = write_shards(corpus, tokenizer, directory.path(), encode_options).files;
         }));
  const auto tokens = static_cast<double>(count_tokens(shards));
  fmt::print("vocabulary {}, {:.2f} M tokens, {:.2f} bytes a token\n", tokenizer.vocab_size(),
             tokens / 1e6, megabytes * 1e6 / tokens);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Times the tokenizer");
  BpeOptions options;
  std::vector<fs::path> paths;
  app.add_option("--threads", options.threads, "0: all cores");
  app.add_option("--vocab-size", options.vocab_size);
  app.add_option("paths", paths, "Text; the C++ standard library's headers unless named");
  CLI11_PARSE(app, argc, argv);
  try {
    options.threads = resolve_threads(options.threads);
    run(paths, options);
  } catch (const cajal::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}
