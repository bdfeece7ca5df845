#include "data/unigram.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "cajal/error.h"
#include "data/windows.h"

namespace cajal::data {
namespace {

constexpr std::int64_t kSampledTokens = std::int64_t{1} << 27;

/// Calls visit(target) over the split's windows, or over every n-th where there are very many.
template <class WindowAt, class Visit>
void for_each_target(const Windows& windows, std::int64_t count, std::int64_t seq,
                     WindowAt window_at, Visit visit) {
  const std::int64_t stride =
      std::max<std::int64_t>(1, count / std::max<std::int64_t>(1, kSampledTokens / seq));
  std::vector<std::uint16_t> tokens;
  for (std::int64_t i = 0; i < count; i += stride) {
    windows.read(window_at(i), tokens);
    std::for_each(tokens.begin() + 1, tokens.end(), visit);
  }
}

[[noreturn]] void refuse(std::uint16_t token, std::int64_t vocab) {
  throw Error(fmt::format("the shards hold the token {}, the vocabulary has {}", token, vocab),
              "use shards and tokenizer that were made together; llm.c's need --vocab-size 50257");
}

/// Of `held_out` counts under the frequencies of `trained` counts, each plus one.
double cross_entropy(const std::vector<std::int64_t>& trained,
                     const std::vector<std::int64_t>& held_out) {
  const auto total = static_cast<double>(
      std::accumulate(trained.begin(), trained.end(), static_cast<std::int64_t>(trained.size())));
  double nats = 0;
  double targets = 0;
  for (std::size_t token = 0; token < trained.size(); ++token) {
    const auto times = static_cast<double>(held_out[token]);
    nats += times * std::log(total / static_cast<double>(trained[token] + 1));
    targets += times;
  }
  return nats / targets;
}

}  // namespace

double unigram_entropy(const std::vector<TokenShard>& shards, const LoaderOptions& options) {
  if (options.vocab < 1) throw InvalidArgument("unigram counts need the size of the vocabulary");
  if (options.seq < 1) throw InvalidArgument("the sequence length is below 1", "ask for 1 or more");
  const Windows windows(shards, options.seq);
  const WindowSplit split(windows.count(), options.validation_fraction);
  if (split.validation_count() == 0) {
    throw InvalidArgument("no text is held out for validation",
                          "give more text or ask for a larger validation share");
  }

  const auto counts = [&](std::int64_t windows_in_split, auto window_at) {
    std::vector<std::int64_t> times(static_cast<std::size_t>(options.vocab), 0);
    for_each_target(windows, windows_in_split, options.seq, window_at, [&](std::uint16_t token) {
      if (token >= times.size()) refuse(token, options.vocab);
      ++times[token];
    });
    return times;
  };
  const auto trained = counts(split.train_count(), [&](std::int64_t i) { return split.train(i); });
  const auto held_out =
      counts(split.validation_count(), [&](std::int64_t i) { return split.validation(i); });
  return cross_entropy(trained, held_out);
}

}  // namespace cajal::data
