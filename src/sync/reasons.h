// Conflicts in words.
#pragma once

#include "sync/decide.h"
#include "sync/flow.h"

namespace cajal::sync {

/// The conflict that explains best why the wait stays: what the host touches before what is
/// unclear, the nearest line first. Null when there is none.
const Conflict* worst_conflict(const FlatGraph& graph, const FlowResult& result, int wait);

/// For a wait in the file `home`: lines of other files carry their names.
Decision describe(const Program& program, const FlatGraph& graph, const Conflict& conflict,
                  int home);
Missing describe_missing(const Program& program, const FlatGraph& graph, const Conflict& conflict);

}  // namespace cajal::sync
