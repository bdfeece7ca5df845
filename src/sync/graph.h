// Orders and loops of a flat graph.
#pragma once

#include <vector>

#include "sync/flatten.h"

namespace cajal::sync {

/// For each block the number of its strongly connected component (Tarjan 1972); -1 where control
/// does not come.
std::vector<int> components(const FlatGraph& graph);

/// The blocks that control reaches, in the order in which it does when no loop goes round.
std::vector<int> reverse_postorder(const FlatGraph& graph);

/// For each block the number of loops around it: strongly connected components, and those that are
/// left of each when the block in which control enters it is taken out.
std::vector<int> loop_depths(const FlatGraph& graph);

/// How often an event in a loop of this depth runs, for comparing: loops of eight rounds.
double rounds_at(int depth);

}  // namespace cajal::sync
