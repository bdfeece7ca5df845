// Edits that mend a file, and the check of the whole set before anything is written.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "sync/scan.h"

namespace cajal::sync {

/// Where the one wait stays that bounds the work in flight.
enum class Strategic {
  needed,    ///< Where a loop or an access needs one.
  loop,      ///< As well in every loop that commits, one where there is none.
  function,  ///< As well before every function returns that submits work.
};

struct FixOptions {
  ScanOptions scan;
  std::set<unsigned> only;  ///< Lines; empty for all.
  bool batch = false;       ///< Join neighbouring command buffers.
  Strategic strategic = Strategic::needed;
};

struct Fix {
  std::string before;
  std::string after;
  int removed = 0;
  int moved = 0;
  int joined = 0;  ///< Command buffers that became one with the one before.
  int added = 0;
  std::vector<std::string> notes;  ///< What could not be mended, and why.
};

/// Plans the edits on the scanned text. After each step the text is analysed again, and a step that
/// would leave a conflict or an error that the original has not is left out, with a note. With
/// Strategic::function the scan must have been made with ScanOptions::functions_wait.
Fix plan_fix(const FileScan& scan, const FixOptions& options);

/// As part of a whole program, whose other files are in `result`.
Fix plan_fix(const ScanResult& result, const FileScan& scan, const FixOptions& options);

}  // namespace cajal::sync
