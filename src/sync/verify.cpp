#include "sync/verify.h"

#include <fmt/format.h>

#include "sync/backup.h"

namespace cajal::sync {
namespace {

int count_word(const std::string& text, const std::string& word) {
  int count = 0;
  for (std::size_t at = text.find(word); at != std::string::npos;
       at = text.find(word, at + word.size())) {
    ++count;
  }
  return count;
}

/// Handlers whose body says nothing: "^(id<MTLCommandBuffer> b) {}".
int count_empty_handlers(const std::string& text) {
  int count = 0;
  for (std::size_t at = text.find("addCompletedHandler"); at != std::string::npos;
       at = text.find("addCompletedHandler", at + 1)) {
    const std::size_t open = text.find_first_of("{;", at);
    if (open == std::string::npos || text[open] == ';') continue;
    const std::size_t inside = text.find_first_not_of(" \t\r\n", open + 1);
    if (inside != std::string::npos && text[inside] == '}') ++count;
  }
  return count;
}

}  // namespace

Verification verify(const FileScan& scan, const ScanOptions& options) {
  Verification out;
  const auto line = [&](bool good, const std::string& text) {
    out.good = out.good && good;
    out.text += fmt::format("  {} {}\n", good ? "ok  " : "FAIL", text);
  };
  out.text = scan.path + "\n";
  line(!scan.unit.broken, "parses");
  line(scan.decisions.missing.empty(),
       fmt::format("{} host accesses conflict with work in flight", scan.decisions.missing.size()));
  for (const Missing& missing : scan.decisions.missing) {
    out.text += fmt::format("         {}: {}\n", missing.line, missing.reason);
  }
  const int empty = count_empty_handlers(scan.text);
  line(empty == 0, fmt::format("{} completion handlers without a body", empty));
  const std::string backup = newest_backup(scan.path);
  if (!backup.empty()) {
    const FileScan original = scan_text(scan.path, read_file(backup), options);
    line(scan.unit.unparsed.size() <= original.unit.unparsed.size(),
         fmt::format("{} lines do not parse, {} before", scan.unit.unparsed.size(),
                     original.unit.unparsed.size()));
    const int gone = count_word(original.text, "waitUntilCompleted") -
                     count_word(scan.text, "waitUntilCompleted");
    const int added = count_word(scan.text, "addCompletedHandler") -
                      count_word(original.text, "addCompletedHandler");
    line(gone <= 0 || added > 0,
         fmt::format("{} Metal waits gone, {} handlers that report errors added", gone, added));
    out.text += fmt::format("       waits: {} before, {} now\n", original.unit.program.waits.size(),
                            scan.unit.program.waits.size());
  }
  out.text += fmt::format("       waitUntilCompleted left: {}; addCompletedHandler present: {}\n",
                          count_word(scan.text, "waitUntilCompleted"),
                          count_word(scan.text, "addCompletedHandler"));
  return out;
}

}  // namespace cajal::sync
