// Random programs: whatever is called redundant or deferrable goes, and the simulated device sees
// no access to memory in flight that it did not see before.
#include "sync/random_program.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <set>
#include <string>

#include "sync/decide.h"
#include "sync/simulator.h"

namespace cajal::sync::testing {
namespace {

/// CAJAL_SYNC_PROGRAMS sets how many; scripts/test-sync.sh asks for 100,000.
int programs() {
  const char* asked = std::getenv("CAJAL_SYNC_PROGRAMS");
  return asked != nullptr ? std::atoi(asked) : 3000;
}

struct Tally {
  int waits = 0;
  int redundant = 0;
  int deferrable = 0;
  int wrong = 0;
};

/// A wait that moves past a submission may even prevent a race, so the new ones are what counts.
bool no_new_race(const Program& before, const Program& after, std::uint64_t seed, int runs) {
  for (int run = 0; run < runs; ++run) {
    const RunOptions options{seed * 1000 + static_cast<std::uint64_t>(run), 4, 400};
    const auto known = simulate(before, options);
    const auto now = simulate(after, options);
    if (!std::includes(known.begin(), known.end(), now.begin(), now.end())) return false;
  }
  return true;
}

void check(std::uint64_t seed, Tally& tally) {
  const Program program = random_program(seed);
  const Decisions decisions = decide(program);
  std::vector<int> removed;
  std::vector<std::pair<int, unsigned>> moved;
  for (std::size_t i = 0; i < decisions.waits.size(); ++i) {
    const Decision& decision = decisions.waits[i];
    ++tally.waits;
    if (decision.verdict == Verdict::redundant) removed.push_back(static_cast<int>(i));
    if (decision.verdict == Verdict::deferrable) {
      ++tally.deferrable;
      // Verdicts "deferrable" hold one at a time, beside all that is removed.
      if (moved.empty()) moved.emplace_back(static_cast<int>(i), decision.defer_to);
    }
  }
  tally.redundant += static_cast<int>(removed.size());
  if (removed.empty() && moved.empty()) return;
  const Program after = without_waits(program, removed, moved);
  if (!no_new_race(program, after, seed, 12)) {
    ++tally.wrong;
    std::string gone;
    for (const int wait : removed) gone += " #" + std::to_string(wait);
    for (const auto& [wait, line] : moved) {
      gone += " #" + std::to_string(wait) + " to " + std::to_string(line);
    }
    ADD_FAILURE() << "seed " << seed << ", gone" << gone << "\n" << dump(program);
  }
}

TEST(RandomPrograms, NothingThatIsNeededGoes) {
  Tally tally;
  const char* first = std::getenv("CAJAL_SYNC_SEED");
  const int begin = first != nullptr ? std::atoi(first) : 1;
  for (int i = 0; i < programs() && tally.wrong < 3; ++i) {
    check(static_cast<std::uint64_t>(begin + i), tally);
  }
  std::cout << programs() << " random programs: " << tally.waits << " waits, " << tally.redundant
            << " redundant, " << tally.deferrable << " deferrable, " << tally.wrong << " wrong\n";
  EXPECT_EQ(tally.wrong, 0);
  EXPECT_GT(tally.redundant, 0);
}

/// The simulator can fail: without all waits it sees more than with them.
TEST(RandomPrograms, SimulatorSeesWhatWaitsPrevent) {
  int seen = 0;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    const Program program = random_program(seed);
    std::vector<int> all(program.waits.size());
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int>(i);
    if (!no_new_race(program, without_waits(program, all, {}), seed, 12)) ++seen;
  }
  EXPECT_GT(seen, 25);
}

}  // namespace
}  // namespace cajal::sync::testing
