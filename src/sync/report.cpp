#include "sync/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <sstream>
#include <utility>

namespace cajal::sync {
namespace {

std::string on_one_line(const std::string& call) {
  std::string line;
  for (const char c : call) {
    const bool space = c == '\n' || c == '\r' || c == '\t' || c == ' ';
    if (!space) {
      line += c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  return line;
}

std::string shortened(const std::string& call, std::size_t most) {
  const std::string line = on_one_line(call);
  return line.size() <= most ? line : line.substr(0, most - 3) + "...";
}

/// Words behind an indent, broken between them where the width asks for it.
std::string wrapped(const std::string& text, std::size_t indent, std::size_t width) {
  std::string out(indent, ' ');
  std::size_t column = indent;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const bool first = column == indent;
    if (width > 0 && !first && column + 1 + word.size() > width) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    }
    if (column > indent) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
  }
  return out + "\n";
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

constexpr std::size_t kIndent = 8;

void add_row(std::string& out, std::size_t width, unsigned line, const std::string& verdict,
             const std::string& function, const std::string& call, const std::string& reason) {
  constexpr std::size_t kLongest = 60;
  const std::string head =
      fmt::format("{:>6}  {:<18} {}{}", line, verdict, function, function.empty() ? "" : ": ");
  const std::size_t room = width > head.size() + 8 ? width - head.size() : kLongest;
  out += head + shortened(call, std::min(room, kLongest)) + "\n" + wrapped(reason, kIndent, width);
}

void add_file(const FileScan& scan, std::string& out, std::size_t width) {
  out += scan.path + "\n";
  for (const Missing& missing : scan.decisions.missing) {
    add_row(out, width, missing.line, "MISSING", missing.function, missing.access, missing.reason);
  }
  for (const std::size_t i : by_line(scan)) {
    const WaitSite& site = scan.unit.program.waits[i];
    const Decision& decision = scan.decisions.waits[i];
    add_row(out, width, site.line, verdict_text(decision), site.function, site.call,
            decision.reason);
  }
  for (const SeenWait& seen : scan.hidden) {
    add_row(
        out, width, seen.line, "left alone", "", seen.call,
        seen.place == Place::dead ? "in dead preprocessor code" : "in the definition of a macro");
  }
  constexpr std::size_t kMostErrors = 5;
  for (std::size_t i = 0; i < std::min(kMostErrors, scan.unit.unparsed.size()); ++i) {
    const auto& [line, why] = scan.unit.unparsed[i];
    out += fmt::format("{:>6}  does not parse\n", line) + wrapped(why, kIndent, width);
  }
  if (scan.unit.unparsed.size() > kMostErrors) {
    out += fmt::format("        {} more places do not parse\n",
                       scan.unit.unparsed.size() - kMostErrors);
  }
  for (const std::string& name : scan.unit.checks) {
    out += wrapped(fmt::format("`{}` is not declared in view: taken to check what its argument "
                               "returns",
                               name),
                   kIndent, width);
  }
}

}  // namespace

Summary summarise(const ScanResult& result) {
  Summary out;
  out.files = static_cast<int>(result.files.size());
  for (const FileScan& scan : result.files) {
    out.missing += static_cast<int>(scan.decisions.missing.size());
    const Busiest& busiest = scan.decisions.busiest;
    if (std::pair(busiest.loop, busiest.waits) > std::pair(out.busiest.loop, out.busiest.waits)) {
      out.busiest = busiest;
    }
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

std::string to_table(const ScanResult& result, std::size_t width) {
  std::string out;
  for (const FileScan& scan : result.files) add_file(scan, out, width);
  const Summary sum = summarise(result);
  out += fmt::format("{} {}; waits: {} now, {} after\n", sum.files,
                     sum.files == 1 ? "file" : "files", sum.waits, sum.after());
  out += wrapped(fmt::format("required {}, deferrable {}, redundant {}, unknown {}, contract {}, "
                             "timing {}; missing {}",
                             sum.required, sum.deferrable, sum.redundant, sum.unknown, sum.contract,
                             sum.timing, sum.missing),
                 2, width);
  if (sum.busiest.waits > 0) {
    out += fmt::format("  {} `{}`: {} now, {} after\n",
                       sum.busiest.loop ? "one round of the busiest loop, in" : "one call of",
                       sum.busiest.function, sum.busiest.waits, sum.busiest.after);
  }
  if (result.passed_over > 0) {
    out += fmt::format("  {} host files mention no wait\n", result.passed_over);
  }
  return out;
}

std::string explain(const FileScan& scan, unsigned line) {
  std::string out;
  for (std::size_t i = 0; i < scan.unit.program.waits.size(); ++i) {
    const WaitSite& site = scan.unit.program.waits[i];
    if (site.line != line) continue;
    const Decision& decision = scan.decisions.waits[i];
    out += fmt::format("{}:{}: {} in {}\n  {}: {}\n", scan.path, line, on_one_line(site.call),
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
