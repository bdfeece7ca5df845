// Batches of tokens, shuffled by seed and prefetched.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "data/token_shard.h"

namespace cajal::data {

struct LoaderOptions {
  std::int64_t batch = 1;
  std::int64_t seq = 512;
  std::uint64_t seed = 0;
  double validation_fraction = 0.0;  ///< Share of windows held out: the same for every seed.
  std::int64_t vocab = 0;            ///< Tokens at or over it are an error that names the shard.
  int prefetch = 4;                  ///< Batches made ahead by the loader's own thread.

  using OnWait = std::function<void(std::chrono::steady_clock::time_point began,
                                    std::chrono::steady_clock::time_point ended)>;
  OnWait on_wait;  ///< Called by next(), on its thread, when it had to wait for a batch.
};

/// Where a loader stands; part of a checkpoint. The order of training windows depends on (seed,
/// epoch) alone. Validation windows always come in one fixed order, so that evaluations of some
/// batches from the start are of the same text in every run.
struct LoaderState {
  std::int64_t epoch = 0;
  std::int64_t window = 0;  ///< Windows of this epoch already given out.
};

/// tokens[b,t], and targets[b,t] = the token after it.
struct Batch {
  std::vector<TokenId> tokens;   ///< [batch, seq]
  std::vector<TokenId> targets;  ///< [batch, seq]
  LoaderState after;             ///< State once this batch has been used.
};

/// The windows of `seq` + 1 tokens of one split over all shards, each once an epoch. A batch at the
/// end of an epoch is filled from the next one.
class Loader {
 public:
  enum class Split : std::uint8_t { train, validation };

  /// Throws InvalidArgument when the split holds no window (the text is too short) or does not
  /// reach `start`, naming the remedy.
  Loader(std::vector<TokenShard> shards, Split split, const LoaderOptions& options,
         LoaderState start = {});
  ~Loader();
  Loader(Loader&&) noexcept;
  Loader& operator=(Loader&&) noexcept;

  std::int64_t windows() const;  ///< In one epoch.
  /// The next batch, in order. Throws what the prefetching thread met, once the batches before it
  /// have been given out, and again on every later call.
  Batch next();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cajal::data
