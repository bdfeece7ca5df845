// How well a model without context would do.
#pragma once

#include <vector>

#include "data/loader.h"
#include "data/token_shard.h"

namespace cajal::data {

/// Mean negative log probability, in nats a token, of the validation split's targets when tokens
/// are drawn by their frequency in the training split (every count plus one). A model that has
/// learnt to use context lies below it. Of very large data an even sample of windows is counted.
/// Uses seq, vocab and validation_fraction of `options`; throws as Loader does.
double unigram_entropy(const std::vector<TokenShard>& shards, const LoaderOptions& options);

}  // namespace cajal::data
