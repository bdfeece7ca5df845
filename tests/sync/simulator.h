// A simulated device that is as slow as it may be: runs a program of events step by step, with
// queues that finish work only when the host waits for it, and notes every access to memory in
// flight.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "sync/ir.h"

namespace cajal::sync::testing {

/// A host access, or the caller's look at everything, that met work in flight.
struct Race {
  int step = 0;  ///< When, counted in events that both programs have.
  int work = 0;  ///< Which submission of the run.
  std::string what;
  auto operator<=>(const Race&) const = default;
};

struct RunOptions {
  std::uint64_t seed = 0;
  int calls = 4;  ///< Calls of external functions by the simulated outside.
  int most_steps = 400;
};

/// Runs the program's external functions in random order. The same seed makes the same choices
/// whatever waits the program has.
std::multiset<Race> simulate(const Program& program, const RunOptions& options);

}  // namespace cajal::sync::testing
