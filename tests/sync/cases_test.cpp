// The corpus: every annotated line gets its verdict, mended programs run as before on the simulated
// device, a required wait that is deleted is reported as missing, and mending twice changes
// nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>
#include <sstream>

#include "sync/edits.h"
#include "sync/random_program.h"
#include "sync/report.h"
#include "sync/scan.h"
#include "sync/simulator.h"

namespace cajal::sync::testing {
namespace {

struct Case {
  std::string path;
  std::vector<std::string> lines;
  std::map<unsigned, std::string> expected;
};

std::vector<Case> read_cases() {
  std::vector<Case> out;
  for (const auto& entry : std::filesystem::directory_iterator(CAJAL_SYNC_CASES)) {
    Case one;
    one.path = entry.path().string();
    std::istringstream in(read_file(one.path));
    for (std::string line; std::getline(in, line);) {
      one.lines.push_back(line);
      const std::string mark = "// expect: ";
      const std::size_t at = line.find(mark);
      if (at == std::string::npos) continue;
      one.expected[static_cast<unsigned>(one.lines.size())] = line.substr(at + mark.size());
    }
    out.push_back(std::move(one));
  }
  std::sort(out.begin(), out.end(), [](const Case& a, const Case& b) { return a.path < b.path; });
  return out;
}

/// Parsing takes most of the time, so it is done once.
const FileScan& scan_of(const Case& one) {
  static std::map<std::string, FileScan> known;
  const auto at = known.find(one.path);
  if (at != known.end()) return at->second;
  return known.emplace(one.path, scan_text(one.path, read_file(one.path), {})).first->second;
}

std::map<unsigned, std::string> verdicts(const FileScan& scan) {
  std::map<unsigned, std::string> out;
  for (std::size_t i = 0; i < scan.decisions.waits.size(); ++i) {
    out[scan.unit.program.waits[i].line] = std::string(name_of(scan.decisions.waits[i].verdict));
  }
  for (const Missing& missing : scan.decisions.missing) out[missing.line] = "missing";
  return out;
}

std::string first_word(const std::string& text) { return text.substr(0, text.find(' ')); }

TEST(Cases, EveryAnnotatedLineGetsItsVerdict) {
  int labels = 0;
  int redundant = 0;
  int found = 0;
  int dangerous = 0;
  const auto cases = read_cases();
  for (const Case& one : cases) {
    const auto got = verdicts(scan_of(one));
    for (const auto& [line, expected] : one.expected) {
      const std::string want = first_word(expected);
      const auto at = got.find(line);
      const std::string have = at == got.end() ? "nothing" : at->second;
      EXPECT_EQ(have, want) << one.path << ":" << line;
      ++labels;
      redundant += want == "redundant";
      found += want == "redundant" && have == "redundant";
      dangerous += (want == "required" || want == "missing") &&
                   (have == "redundant" || have == "deferrable");
    }
    for (const auto& [line, have] : got) {
      EXPECT_TRUE(one.expected.contains(line)) << one.path << ":" << line << ": " << have;
    }
  }
  std::cout << cases.size() << " cases, " << labels << " labels; redundant found " << found
            << " of " << redundant << "; needed ones called removable: " << dangerous << "\n";
  EXPECT_GE(cases.size(), 80U);
  EXPECT_EQ(dangerous, 0);
}

TEST(Cases, RunAsBeforeWithoutWhatIsRedundant) {
  int runs = 0;
  for (const Case& one : read_cases()) {
    const FileScan& scan = scan_of(one);
    std::vector<int> removed;
    for (std::size_t i = 0; i < scan.decisions.waits.size(); ++i) {
      if (scan.decisions.waits[i].verdict == Verdict::redundant) {
        removed.push_back(static_cast<int>(i));
      }
    }
    if (removed.empty()) continue;
    const Program after = without_waits(scan.unit.program, removed, {});
    for (std::uint64_t seed = 1; seed <= 40; ++seed, ++runs) {
      const auto known = simulate(scan.unit.program, {seed, 4, 400});
      const auto now = simulate(after, {seed, 4, 400});
      ASSERT_TRUE(std::includes(known.begin(), known.end(), now.begin(), now.end()))
          << one.path << ", seed " << seed;
    }
  }
  std::cout << runs << " runs on the simulated device before and after\n";
}

/// Deleting a wait that a read or write of the host needs makes that access a finding.
TEST(Cases, DeletedWaitIsMissed) {
  int mutants = 0;
  int reported = 0;
  for (const Case& one : read_cases()) {
    for (const auto& [line, expected] : one.expected) {
      const bool access =
          expected.starts_with("required reads") || expected.starts_with("required writes");
      if (!access) continue;
      std::string text;
      for (std::size_t i = 0; i < one.lines.size(); ++i) {
        text += (i + 1 == line ? "  ;" : one.lines[i]) + "\n";
      }
      ++mutants;
      const FileScan scan = scan_text(one.path, text, {});
      const bool seen = !scan.decisions.missing.empty();
      reported += seen;
      EXPECT_TRUE(seen) << one.path << ":" << line;
    }
  }
  std::cout << mutants << " mutants, " << reported << " reported as missing\n";
  EXPECT_GT(mutants, 50);
}

TEST(Cases, MendingTwiceChangesNothingMore) {
  int edited = 0;
  for (const Case& one : read_cases()) {
    const FileScan& scan = scan_of(one);
    const Fix fix = plan_fix(scan, {});
    if (fix.before == fix.after) continue;
    ++edited;
    const FileScan again = scan_text(one.path, fix.after, {});
    EXPECT_LE(again.decisions.missing.size(), scan.decisions.missing.size()) << one.path;
    EXPECT_LE(again.unit.unparsed.size(), scan.unit.unparsed.size()) << one.path;
    const Fix second = plan_fix(again, {});
    EXPECT_EQ(second.after, fix.after) << one.path;
  }
  std::cout << edited << " cases mended\n";
  EXPECT_GT(edited, 30);
}

}  // namespace
}  // namespace cajal::sync::testing
