// Looks at a mended file again.
#pragma once

#include <string>

#include "sync/scan.h"

namespace cajal::sync {

struct Verification {
  bool good = true;
  std::string text;  ///< What was found, for people.
};

/// Parses and analyses again; with a backup beside the file, compares with the original.
Verification verify(const FileScan& scan, const ScanOptions& options);

}  // namespace cajal::sync
