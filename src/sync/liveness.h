// Which variables are still asked for the object that they name.
#pragma once

#include <vector>

#include "sync/flatten.h"

namespace cajal::sync {

/// For each block the paths, sorted, whose object some event may ask for once control is there,
/// before another is put into them. Paths that code out of sight can see count everywhere.
std::vector<std::vector<int>> live_objects(FlatGraph& graph);

}  // namespace cajal::sync
