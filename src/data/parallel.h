// Work shared out over short-lived threads.
#pragma once

#include <cstddef>
#include <functional>

namespace cajal::data {

/// 0 means all cores. Throws InvalidArgument for a negative count.
int resolve_threads(int threads);

/// Calls work(worker, item) for every item in [0, items), each worker on its own thread (worker 0
/// on the caller's), items handed out in order as workers come free. Rethrows the first failure
/// after all workers have ended.
void parallel_for(int threads, std::size_t items,
                  const std::function<void(std::size_t worker, std::size_t item)>& work);

}  // namespace cajal::data
