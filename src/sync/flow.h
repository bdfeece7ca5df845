// Forward data flow: what may be in flight where, and what goes wrong once given waits are gone.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "sync/flatten.h"

namespace cajal::sync {

/// Work that one event submitted, or work that was in flight before the function was entered.
inline constexpr int kEarlierWork = -1000;  ///< Sites at and below it are of the latter kind.

enum class Cause {
  access,    ///< The host touches what the device uses.
  handler,   ///< Later work touches what a completion handler of earlier work uses.
  order,     ///< Later work on another queue touches what the earlier work uses.
  outcome,   ///< The host reads a command buffer's status.
  exit,      ///< The function returns with the work in flight.
  scope,     ///< Memory that the work uses ends.
  unclear,   ///< Code out of sight runs.
  lifetime,  ///< The command buffer does not keep its buffers alive.
  growth,    ///< A loop would go round without a wait.
};

struct Conflict {
  Cause cause = Cause::access;
  int site = -1;    ///< Flat event that submitted the work, or kEarlierWork - k.
  int event = -1;   ///< Flat event where it goes wrong; -1 for the exit.
  int path = -1;    ///< What is touched.
  int encode = -1;  ///< Flat event that gave the device that access.
  int by = -1;  ///< The removed wait that let the work through; -1 when none did: a missing wait.
  bool partial = false;  ///< Some path waits for it.
};

/// What is asked of one run.
struct FlowQuery {
  std::set<int> removed;          ///< Waits (Program::waits) taken away.
  std::map<int, unsigned> moved;  ///< Waits moved to the mark on that line.
  bool handlers = true;           ///< Some completion handler touches memory.
  bool earlier_work = false;      ///< Work from before entry may be in flight and use any memory.
};

struct FlowResult {
  std::vector<Conflict> conflicts;
  std::map<int, std::set<int>> ended;    ///< For each wait, the sites whose work it ended.
  std::map<int, std::set<int>> covered;  ///< For each removed wait, flat waits that end its work.
  std::set<int> unclear;                 ///< Waits for something that is not known to be committed.
  std::set<int> left_in_flight;          ///< Sites whose work may be in flight at the exit.
};

FlowResult run_flow(FlatGraph& graph, const FlowQuery& query);

/// How often the host waits in one round of a loop, or in one call where no loop waits.
struct Round {
  int waits = 0;
  int after = 0;  ///< Without `removed`.
  bool loop = false;
};

/// The round with the most waits.
Round busiest_round(const FlatGraph& graph, const std::set<int>& removed);

/// A loop that submits and waits must keep a wait on every way round. Returns one of `removed`
/// whose loss breaks that, or -1.
int find_unbounded(const FlatGraph& graph, const std::set<int>& removed);

}  // namespace cajal::sync
