// How CPU kernels share their work among threads.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>

#include "runtime/cpu/context.h"

namespace cajal::ops {

/// Elements that are worth waking a second thread for.
inline constexpr std::int64_t kGrain = 16384;

/// Rows of `columns` elements that make up about one grain.
inline std::int64_t row_grain(std::int64_t columns) {
  return std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, columns));
}

inline std::int64_t chunk_count(std::int64_t n, std::int64_t grain) {
  return (n + grain - 1) / grain;
}

/// Calls body(chunk, first, last) for the chunks of `grain` elements of [0, n). Chunks do not
/// depend on the number of threads, so neither do results that are kept by chunk. Each thread takes
/// a run of neighbouring chunks. One chunk runs on the calling thread alone. `body` must not throw.
template <class Body>
void parallel_chunks(const CpuContext& context, std::int64_t n, std::int64_t grain,
                     const Body& body) {
  const std::int64_t chunks = chunk_count(n, grain);
  const auto run = [&](std::int64_t from, std::int64_t to) noexcept {
    for (std::int64_t c = from; c < to; ++c) body(c, c * grain, std::min(n, (c + 1) * grain));
  };
  if (chunks <= 1 || context.threads() == 1) {
    run(0, chunks);
    return;
  }
#pragma omp parallel num_threads(context.threads())
  {
    const std::int64_t team = omp_get_num_threads();
    const std::int64_t thread = omp_get_thread_num();
    run(chunks * thread / team, chunks * (thread + 1) / team);
  }
}

}  // namespace cajal::ops
