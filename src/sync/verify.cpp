#include "sync/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <iterator>
#include <optional>
#include <set>

#include "sync/backup.h"
#include "sync/compile.h"

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

bool has_word(const std::string& text, const std::string& word) {
  const auto is_part = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
  };
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if ((at == 0 || !is_part(text[at - 1])) && (end == text.size() || !is_part(text[end]))) {
      return true;
    }
  }
  return false;
}

/// Some wait is for this very command buffer; what another function waits for has another name.
bool is_waited_for(const FileScan& scan, const CommitText& commit) {
  for (std::size_t i = 0; i < scan.decisions.commits.size(); ++i) {
    const WaitSite& site = scan.unit.program.waits[i];
    if (site.function == commit.function && !has_word(site.call, commit.command)) continue;
    for (const Evidence& ended : scan.decisions.commits[i]) {
      if (ended.file == scan.number && ended.line == commit.line) return true;
    }
  }
  return false;
}

/// Commits that no wait is for, as "function: command buffer".
std::multiset<std::string> unwaited(const FileScan& scan, bool unreported_only) {
  std::multiset<std::string> out;
  for (const CommitText& commit : scan.unit.commits) {
    if (is_waited_for(scan, commit) || (unreported_only && commit.reported)) continue;
    out.insert(commit.function + ": " + commit.command);
  }
  return out;
}

/// Commits that lost their wait and whose errors nobody would see.
std::vector<std::string> silenced(const FileScan& original, const FileScan& now) {
  const auto before = unwaited(original, false);
  std::vector<std::string> out;
  const auto after = unwaited(now, true);
  std::set_difference(after.begin(), after.end(), before.begin(), before.end(),
                      std::back_inserter(out));
  return out;
}

std::string compiled_text(const std::optional<bool>& before, bool now) {
  if (now) return "compiles";
  if (before.has_value() && !*before) return "does not compile here, nor did the original";
  return before.has_value() ? "does not compile, and the original did" : "does not compile here";
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
  std::optional<bool> before;
  if (!backup.empty()) {
    const FileScan original = scan_text(scan.path, read_file(backup), options);
    line(scan.unit.unparsed.size() <= original.unit.unparsed.size(),
         fmt::format("{} lines do not parse, {} before", scan.unit.unparsed.size(),
                     original.unit.unparsed.size()));
    const int gone = count_word(original.text, "waitUntilCompleted") -
                     count_word(scan.text, "waitUntilCompleted");
    const int added = count_word(scan.text, "addCompletedHandler") -
                      count_word(original.text, "addCompletedHandler");
    out.text +=
        fmt::format("       Metal waits gone: {}; completion handlers added: {}\n", gone, added);
    const auto lost = silenced(original, scan);
    line(lost.empty(), fmt::format("{} commits lost their wait and report no error", lost.size()));
    for (const std::string& commit : lost) out.text += "         " + commit + "\n";
    before = compiles(backup, scan.language, options.flags);
    out.text += fmt::format("       waits: {} before, {} now\n", original.unit.program.waits.size(),
                            scan.unit.program.waits.size());
  }
  const auto now = compiles(scan.path, scan.language, options.flags);
  if (now.has_value()) {
    line(*now || !before.has_value() || !*before, compiled_text(before, *now));
  } else {
    out.text += "       not compiled: no compiler for it here\n";
  }
  out.text += fmt::format("       waitUntilCompleted left: {}; addCompletedHandler present: {}\n",
                          count_word(scan.text, "waitUntilCompleted"),
                          count_word(scan.text, "addCompletedHandler"));
  return out;
}

}  // namespace cajal::sync
