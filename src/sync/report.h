// What a scan found, for people and for programs.
#pragma once

#include <string>

#include "sync/scan.h"

namespace cajal::sync {

struct Summary {
  int files = 0;
  int waits = 0;
  int required = 0;
  int deferrable = 0;
  int redundant = 0;
  int unknown = 0;
  int contract = 0;
  int timing = 0;
  int missing = 0;
  Busiest busiest;
  int after() const { return waits - redundant; }
};

Summary summarise(const ScanResult& result);

/// Two lines a wait; wrapped to `width` columns, 0 for no limit.
std::string to_table(const ScanResult& result, std::size_t width);
std::string to_json(const ScanResult& result);
std::string to_sarif(const ScanResult& result);

/// Everything that is known of the wait on that line; empty when there is none.
std::string explain(const FileScan& scan, unsigned line);

/// 0 nothing to mend, 1 something to mend or missing.
int exit_code(const Summary& summary);

}  // namespace cajal::sync
