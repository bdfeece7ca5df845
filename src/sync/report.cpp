#include "sync/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace cajal::sync {
namespace {

std::string shortened(const std::string& call) {
  std::string line;
  for (const char c : call) line += c == '\n' || c == '\r' || c == '\t' ? ' ' : c;
  constexpr std::size_t kLongest = 44;
  return line.size() <= kLongest ? line : line.substr(0, kLongest - 3) + "...";
}

std::string verdict_text(const Decision& decision) {
  if (decision.verdict != Verdict::deferrable) return std::string(name_of(decision.verdict));
  return fmt::format("deferrable to {}", decision.defer_to);
}

std::vector<std::size_t> by_line(const FileScan& scan) {
  std::vector<std::size_t> order(scan.unit.program.waits.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t one, std::size_t other) {
    return scan.unit.program.waits[one].line < scan.unit.program.waits[other].line;
  });
  return order;
}

void add_file(const FileScan& scan, std::string& out) {
  out += scan.path + "\n";
  for (const Missing& missing : scan.decisions.missing) {
    out += fmt::format("  {:>6}  {:<20} {:<44}  MISSING: {}\n", missing.line, missing.function, "",
                       missing.reason);
  }
  for (const std::size_t i : by_line(scan)) {
    const WaitSite& site = scan.unit.program.waits[i];
    const Decision& decision = scan.decisions.waits[i];
    out += fmt::format("  {:>6}  {:<20} {:<44}  {}: {}\n", site.line, site.function,
                       shortened(site.call), verdict_text(decision), decision.reason);
  }
  for (const SeenWait& seen : scan.hidden) {
    out += fmt::format(
        "  {:>6}  {:<20} {:<44}  left alone: {}\n", seen.line, "", seen.call,
        seen.place == Place::dead ? "in dead preprocessor code" : "in the definition of a macro");
  }
  int shown = 0;
  for (const auto& [line, why] : scan.unit.unparsed) {
    if (++shown > 5) {
      out += fmt::format("          and {} more lines that do not parse\n",
                         scan.unit.unparsed.size() - 5);
      break;
    }
    out += fmt::format("  {:>6}  does not parse: {}\n", line, why);
  }
}

}  // namespace

Summary summarise(const ScanResult& result) {
  Summary out;
  out.files = static_cast<int>(result.files.size());
  for (const FileScan& scan : result.files) {
    out.missing += static_cast<int>(scan.decisions.missing.size());
    for (const Decision& decision : scan.decisions.waits) {
      ++out.waits;
      switch (decision.verdict) {
        case Verdict::required:
          ++out.required;
          break;
        case Verdict::deferrable:
          ++out.deferrable;
          break;
        case Verdict::redundant:
          ++out.redundant;
          break;
        case Verdict::unknown:
          ++out.unknown;
          break;
        case Verdict::contract:
          ++out.contract;
          break;
        case Verdict::timing:
          ++out.timing;
          break;
      }
    }
  }
  return out;
}

int exit_code(const Summary& summary) {
  return summary.redundant + summary.deferrable + summary.missing > 0 ? 1 : 0;
}

std::string to_table(const ScanResult& result) {
  std::string out;
  for (const FileScan& scan : result.files) add_file(scan, out);
  const Summary sum = summarise(result);
  out += fmt::format(
      "{} files, {} waits now, {} after; required {}, deferrable {}, redundant {}, unknown {}, "
      "contract {}, timing {}; missing {}\n",
      sum.files, sum.waits, sum.after(), sum.required, sum.deferrable, sum.redundant, sum.unknown,
      sum.contract, sum.timing, sum.missing);
  if (result.passed_over > 0) {
    out += fmt::format("{} host files mention no wait\n", result.passed_over);
  }
  return out;
}

std::string explain(const FileScan& scan, unsigned line) {
  std::string out;
  for (std::size_t i = 0; i < scan.unit.program.waits.size(); ++i) {
    const WaitSite& site = scan.unit.program.waits[i];
    if (site.line != line) continue;
    const Decision& decision = scan.decisions.waits[i];
    out += fmt::format("{}:{}: {} in {}\n  {}: {}\n", scan.path, line, shortened(site.call),
                       site.function, verdict_text(decision), decision.reason);
    for (const Evidence& evidence : decision.evidence) {
      out += fmt::format("  line {}: {}\n", evidence.line, evidence.what);
    }
    for (const Evidence& commit : scan.decisions.commits[i]) {
      out += fmt::format("  ends the work that line {} submits\n", commit.line);
    }
  }
  for (const Missing& missing : scan.decisions.missing) {
    if (missing.line != line) continue;
    out += fmt::format("{}:{}: missing wait in {}: {}\n", scan.path, line, missing.function,
                       missing.reason);
  }
  return out;
}

}  // namespace cajal::sync
