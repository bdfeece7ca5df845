#include "data/loader.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include "cajal/error.h"
#include "data/hash.h"
#include "data/permutation.h"
#include "data/windows.h"

namespace cajal::data {
namespace {

constexpr std::uint64_t kValidationKey = 0x76616C6964617465U;

void check_options(const LoaderOptions& options) {
  const auto at_least_one = [](std::int64_t value, const char* what) {
    if (value < 1) throw InvalidArgument(fmt::format("{} is {}", what, value), "ask for 1 or more");
  };
  at_least_one(options.batch, "the batch");
  at_least_one(options.seq, "the sequence length");
  at_least_one(options.prefetch, "the number of batches to prefetch");
  if (!(options.validation_fraction >= 0 && options.validation_fraction < 1)) {
    throw InvalidArgument(
        fmt::format("the share of validation text is {}", options.validation_fraction),
        "ask for 0 or more and less than 1");
  }
}

/// Makes the batches; knows nothing of threads.
class BatchMaker {
 public:
  BatchMaker(std::vector<TokenShard> shards, Loader::Split split, const LoaderOptions& options,
             LoaderState start)
      : options_(options),
        validation_(split == Loader::Split::validation),
        windows_(std::move(shards), options.seq),
        split_(windows_.count(), options.validation_fraction),
        count_(validation_ ? split_.validation_count() : split_.train_count()),
        state_(start) {
    if (count_ == 0) refuse_short_text();
    if (start.epoch < 0 || start.window < 0 || start.window >= count_) {
      throw InvalidArgument(fmt::format("the data has {} windows and cannot go on at window {}",
                                        count_, start.window),
                            "resume with the text and sequence length the run began with");
    }
  }

  std::int64_t count() const { return count_; }

  Batch make() {
    const auto size = static_cast<std::size_t>(options_.batch * options_.seq);
    Batch batch;
    batch.tokens.reserve(size);
    batch.targets.reserve(size);
    for (std::int64_t b = 0; b < options_.batch; ++b) {
      append(next_window(), batch);
    }
    batch.after = state_;
    return batch;
  }

 private:
  [[noreturn]] void refuse_short_text() const {
    const char* name = validation_ ? "validation" : "training";
    if (validation_ && options_.validation_fraction == 0) {
      throw InvalidArgument("no text is held out for validation",
                            "ask for a validation share above 0");
    }
    throw InvalidArgument(fmt::format("the text is too short: not one {} window of {} tokens", name,
                                      options_.seq + 1),
                          "give more text or ask for a shorter sequence");
  }

  std::int64_t next_window() {
    if (!order_ || order_epoch_ != state_.epoch) {
      const auto epoch = static_cast<std::uint64_t>(state_.epoch);
      order_.emplace(count_, validation_ ? kValidationKey : mix64(options_.seed) ^ epoch);
      order_epoch_ = state_.epoch;
    }
    const std::int64_t i = (*order_)(state_.window);
    if (++state_.window == count_) state_ = {state_.epoch + 1, 0};
    return validation_ ? split_.validation(i) : split_.train(i);
  }

  void append(std::int64_t window, Batch& batch) {
    windows_.read(window, tokens_);
    const std::uint16_t largest = *std::max_element(tokens_.begin(), tokens_.end());
    if (options_.vocab > 0 && largest >= options_.vocab) {
      throw Error(
          fmt::format("{} holds the token {}, the vocabulary has {}",
                      windows_.shard(window).file().string(), largest, options_.vocab),
          "use shards and tokenizer that were made together; llm.c's need --vocab-size 50257");
    }
    batch.tokens.insert(batch.tokens.end(), tokens_.begin(), tokens_.end() - 1);
    batch.targets.insert(batch.targets.end(), tokens_.begin() + 1, tokens_.end());
  }

  LoaderOptions options_;
  bool validation_;
  Windows windows_;
  WindowSplit split_;
  std::int64_t count_;
  LoaderState state_;
  std::optional<Permutation> order_;
  std::int64_t order_epoch_ = 0;
  std::vector<std::uint16_t> tokens_;  ///< Of one window.
};

}  // namespace

struct Loader::State {
  State(BatchMaker batch_maker, const LoaderOptions& options)
      : maker(std::move(batch_maker)),
        ahead(static_cast<std::size_t>(options.prefetch)),
        on_wait(options.on_wait),
        thread([this] { run(); }) {}

  ~State() {
    {
      const std::lock_guard lock(mutex);
      stop = true;
    }
    changed.notify_all();
    thread.join();
  }

  void run() noexcept {
    for (;;) {
      {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return stop || ready.size() < ahead; });
        if (stop) return;
      }
      std::optional<Batch> batch;
      std::exception_ptr error;
      try {
        batch = maker.make();
      } catch (...) {
        error = std::current_exception();
      }
      {
        const std::lock_guard lock(mutex);
        failure = error;
        if (batch) ready.push_back(*std::move(batch));
      }
      changed.notify_all();
      if (error) return;
    }
  }

  Batch next() {
    std::unique_lock lock(mutex);
    const auto done = [&] { return !ready.empty() || failure; };
    if (!done()) {
      const auto began = std::chrono::steady_clock::now();
      changed.wait(lock, done);
      lock.unlock();
      if (on_wait) on_wait(began, std::chrono::steady_clock::now());
      lock.lock();
    }
    if (ready.empty()) std::rethrow_exception(failure);
    Batch batch = std::move(ready.front());
    ready.pop_front();
    lock.unlock();
    changed.notify_all();
    return batch;
  }

  BatchMaker maker;  ///< The thread's alone, but for its constant count.
  const std::size_t ahead;
  const LoaderOptions::OnWait on_wait;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Batch> ready;
  std::exception_ptr failure;
  bool stop = false;
  std::thread thread;  ///< Last: it uses all the rest.
};

Loader::Loader(std::vector<TokenShard> shards, Split split, const LoaderOptions& options,
               LoaderState start) {
  check_options(options);
  state_ = std::make_unique<State>(BatchMaker(std::move(shards), split, options, start), options);
}

Loader::~Loader() = default;
Loader::Loader(Loader&&) noexcept = default;
Loader& Loader::operator=(Loader&&) noexcept = default;

std::int64_t Loader::windows() const { return state_->maker.count(); }

Batch Loader::next() { return state_->next(); }

}  // namespace cajal::data
