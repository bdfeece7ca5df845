// A token shard: refused, or all of its bytes accounted for and a loader whose batches stay inside
// the vocabulary, targets one token after the tokens.
#include "data/token_shard.h"

#include <algorithm>
#include <cstdint>

#include "data/loader.h"
#include "support.h"
#include "targets.h"

namespace cajal::fuzz {
namespace {

using namespace cajal::data;

constexpr std::int64_t kVocab = 40'000;
constexpr std::size_t kHeaderBytes = 1024;

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
                        [](TokenId id) { return id >= 0 && id < kVocab; }),
            "a target is in the vocabulary");
    for (std::size_t row = 0; row < 2; ++row) {
      require(batch.tokens[row * 3 + 1] == batch.targets[row * 3] &&
                  batch.tokens[row * 3 + 2] == batch.targets[row * 3 + 1],
              "a target is the token after");
    }
  }
}

}  // namespace

void token_shard(std::string_view input) {
  static const Scratch scratch;
  const auto file = scratch.put("tokens.bin", input);
  accept_or_refuse([&] {
    const TokenShard shard(file);
    require(input.size() == kHeaderBytes + 2 * static_cast<std::size_t>(shard.count()),
            "a shard holds its tokens");
    read_batches(shard);
  });
}

}  // namespace cajal::fuzz
