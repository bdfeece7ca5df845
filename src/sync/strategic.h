// Loops that submit without end: where one wait a round would bound the work in flight.
#pragma once

#include <vector>

#include "sync/scan.h"
#include "sync/text_edit.h"

namespace cajal::sync {

/// One wait behind the last commit of each loop of a Metal host that commits and never waits.
std::vector<Edit> plan_loop_waits(const FileScan& scan);

}  // namespace cajal::sync
