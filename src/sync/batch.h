// Neighbouring command buffers that can be one.
#pragma once

#include <vector>

#include "sync/scan.h"
#include "sync/text_edit.h"

namespace cajal::sync {

struct Batch {
  std::vector<Edit> edits;
  int joins = 0;
};

/// Where a command buffer is committed and, with nothing between that the host or another function
/// could notice, the next of the same queue is made, recorded and committed: the first commit goes
/// and the second buffer becomes the first. Nothing in a file with a missing wait.
Batch plan_batch(const FileScan& scan);

}  // namespace cajal::sync
