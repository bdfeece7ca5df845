#include "data/windows.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "data/hash.h"

namespace cajal::data {
namespace {

constexpr std::int64_t kLongestRun = 16;
constexpr std::int64_t kFewRuns = 8;  // Fewer held-out runs than this would be a poor sample.

/// Long runs keep held-out text away from trained text, unless that leaves too few of them.
std::int64_t run_length(std::int64_t held_out) {
  return std::clamp<std::int64_t>(held_out / kFewRuns, 1, kLongestRun);
}

std::int64_t held_out_windows(std::int64_t windows, double fraction) {
  if (fraction <= 0 || windows < 2) return 0;
  const auto wanted =
      static_cast<std::int64_t>(std::llround(fraction * static_cast<double>(windows)));
  return std::clamp<std::int64_t>(wanted, 1, windows - 1);
}

/// part / parts of whole, without overflow.
std::int64_t share(std::int64_t whole, std::int64_t part, std::int64_t parts) {
  return whole / parts * part + whole % parts * part / parts;
}

}  // namespace

Windows::Windows(std::vector<TokenShard> shards, std::int64_t seq)
    : shards_(std::move(shards)), seq_(seq) {
  std::int64_t total = 0;
  for (const TokenShard& shard : shards_) {
    const std::int64_t tokens = shard.count();
    total += tokens > seq ? (tokens - 1) / seq : 0;
    ends_.push_back(total);
  }
}

std::size_t Windows::shard_index(std::int64_t window) const {
  return static_cast<std::size_t>(std::upper_bound(ends_.begin(), ends_.end(), window) -
                                  ends_.begin());
}

void Windows::read(std::int64_t window, std::vector<std::uint16_t>& tokens) const {
  const std::size_t shard = shard_index(window);
  const std::int64_t first = shard == 0 ? 0 : ends_[shard - 1];
  tokens.resize(static_cast<std::size_t>(seq_) + 1);
  shards_[shard].read((window - first) * seq_, tokens);
}

WindowSplit::WindowSplit(std::int64_t windows, double fraction) : windows_(windows) {
  const std::int64_t wanted = held_out_windows(windows, fraction);
  if (wanted == 0) return;
  const std::int64_t length = run_length(wanted);
  const std::int64_t runs = (wanted + length - 1) / length;
  std::int64_t after = 0;
  for (std::int64_t i = 0; i < runs; ++i) {
    // A stretch is a run and its part of the trained windows, into which the hash puts the run.
    const std::int64_t size = share(wanted, i + 1, runs) - share(wanted, i, runs);
    const std::int64_t trained_before = share(windows - wanted, i, runs);
    const std::int64_t trained = share(windows - wanted, i + 1, runs) - trained_before;
    const auto places = static_cast<std::uint64_t>(trained + 1);
    const auto place = static_cast<std::int64_t>(mix64(static_cast<std::uint64_t>(i)) % places);
    const std::int64_t begin = after + trained_before;
    after += size;
    held_out_.push_back({begin + place, size, after});
  }
}

std::int64_t WindowSplit::train(std::int64_t i) const {
  // The runs whose first window has at most i trained windows before it.
  const auto run = std::partition_point(held_out_.begin(), held_out_.end(), [&](const Run& r) {
    return r.first - (r.after - r.size) <= i;
  });
  return run == held_out_.begin() ? i : i + std::prev(run)->after;
}

std::int64_t WindowSplit::validation(std::int64_t i) const {
  const auto run = std::partition_point(held_out_.begin(), held_out_.end(),
                                        [&](const Run& r) { return r.after <= i; });
  return run->first + i - (run->after - run->size);
}

}  // namespace cajal::data
