#include "data/parallel.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "cajal/error.h"

namespace cajal::data {

int resolve_threads(int threads) {
  if (threads < 0) {
    throw InvalidArgument(fmt::format("{} threads", threads), "name 1 or more, or 0 for all cores");
  }
  if (threads > 0) return threads;
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

void parallel_for(int threads, std::size_t items,
                  const std::function<void(std::size_t, std::size_t)>& work) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::exception_ptr failure;

  const auto run = [&](std::size_t worker) noexcept {
    try {
      for (std::size_t item = next++; item < items; item = next++) work(worker, item);
    } catch (...) {
      next = items;
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  };

  const std::size_t workers = std::min(static_cast<std::size_t>(std::max(threads, 1)), items);
  std::vector<std::thread> others;
  others.reserve(workers);
  try {
    for (std::size_t worker = 1; worker < workers; ++worker) others.emplace_back(run, worker);
  } catch (const std::system_error&) {
    // No more threads to be had: those that started share the work.
  }
  run(0);
  for (std::thread& other : others) other.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace cajal::data
