// Any bytes for a token shard: a one-line Error, or a loader whose batches stay inside the
// vocabulary.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "cajal/error.h"
#include "data/loader.h"
#include "data/token_shard.h"

namespace {

using namespace cajal::data;

constexpr std::int64_t kVocab = 40'000;

void require(bool condition) {
  if (!condition) std::abort();
}

void read_batches(const TokenShard& shard) {
  LoaderOptions options;
  options.batch = 2;
  options.seq = 3;
  options.vocab = kVocab;
  options.validation_fraction = 0.1;
  Loader loader({shard}, Loader::Split::train, options);
  for (int i = 0; i < 3; ++i) {
    const Batch batch = loader.next();
    require(std::all_of(batch.targets.begin(), batch.targets.end(),
                        [](TokenId id) { return id >= 0 && id < kVocab; }));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto path =
      std::filesystem::temp_directory_path() / fmt::format("cajal-fuzz-{}.bin", ::getpid());
  {
    std::ofstream out(path, std::ios::binary);
    out.write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  }
  try {
    const TokenShard shard(path);
    require(size == 1024 + 2 * static_cast<std::size_t>(shard.count()));
    read_batches(shard);
  } catch (const cajal::Error& error) {
    require(std::string_view(error.what()).find('\n') == std::string_view::npos);
  }
  std::filesystem::remove(path);
  return 0;
}
