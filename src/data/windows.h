// The windows of tokens that training reads, over all shards.
#pragma once

#include <cstdint>
#include <vector>

#include "data/token_shard.h"

namespace cajal::data {

/// Windows of seq + 1 tokens at a stride of seq: each token is a target once. None crosses a shard.
class Windows {
 public:
  Windows(std::vector<TokenShard> shards, std::int64_t seq);

  std::int64_t count() const { return ends_.empty() ? 0 : ends_.back(); }
  /// Reads the seq + 1 tokens of a window. Throws Error as TokenShard::read does.
  void read(std::int64_t window, std::vector<std::uint16_t>& tokens) const;
  /// The shard that a window lies in.
  const TokenShard& shard(std::int64_t window) const { return shards_[shard_index(window)]; }

 private:
  std::size_t shard_index(std::int64_t window) const;

  std::vector<TokenShard> shards_;
  std::vector<std::int64_t> ends_;  ///< Windows in the shards up to and with this one.
  std::int64_t seq_ = 0;
};

/// Which windows are held out. Runs of windows are drawn, one from each of equally long stretches,
/// by a fixed hash: the same for every seed, spread over the whole text, and mostly not beside
/// trained text.
class WindowSplit {
 public:
  /// `fraction` in [0, 1). Over 0, at least one of two or more windows is held out; one is always
  /// left.
  WindowSplit(std::int64_t windows, double fraction);

  std::int64_t train_count() const { return windows_ - validation_count(); }
  std::int64_t validation_count() const { return held_out_.empty() ? 0 : held_out_.back().after; }

  /// The window that is the i-th of its split.
  std::int64_t train(std::int64_t i) const;
  std::int64_t validation(std::int64_t i) const;

 private:
  struct Run {
    std::int64_t first = 0;
    std::int64_t size = 0;
    std::int64_t after = 0;  ///< Held-out windows up to the end of this run.
  };
  std::int64_t windows_ = 0;
  std::vector<Run> held_out_;
};

}  // namespace cajal::data
