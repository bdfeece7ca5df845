// Edits that mend a file, and the check of the whole set before anything is written.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "sync/scan.h"

namespace cajal::sync {

struct FixOptions {
  ScanOptions scan;
  std::set<unsigned> only;  ///< Lines; empty for all.
};

struct Fix {
  std::string before;
  std::string after;
  int removed = 0;
  int moved = 0;
  std::vector<std::string> notes;  ///< What could not be mended, and why.
};

/// Plans the edits on the scanned text, analyses the result again, and gives back the text
/// unchanged (with a note) when the edited program has a conflict or an error that the original has
/// not.
Fix plan_fix(const FileScan& scan, const FixOptions& options);

}  // namespace cajal::sync
