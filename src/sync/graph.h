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

}  // namespace cajal::sync
