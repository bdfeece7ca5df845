#include "sync/edits.h"

#include <fmt/format.h>

#include <algorithm>

#include "sync/batch.h"
#include "sync/handler_text.h"
#include "sync/strategic.h"
#include "sync/text_edit.h"

namespace cajal::sync {
namespace {

class Planner {
 public:
  explicit Planner(const FileScan& scan) : scan_(scan) {}

  /// False when the wait cannot be taken away by text; `why` says so.
  bool remove(std::size_t wait, std::string& why) {
    const WaitSite& site = scan_.unit.program.waits[wait];
    const WaitText& where = scan_.unit.wait_texts[wait];
    if (!where.writable) {
      why = "it stands in a macro or another file";
      return false;
    }
    return site.call.find("waitUntil") != std::string::npos ? remove_metal(wait, why)
                                                            : remove_cuda(wait, why);
  }

  bool move(std::size_t wait, std::string& why) {
    const WaitText& where = scan_.unit.wait_texts[wait];
    const unsigned to = scan_.decisions.waits[wait].defer_to;
    Edit gone;
    if (!where.writable ||
        !statement_range(scan_.text, where.statement_begin, where.statement_end, gone) ||
        is_bare_body(scan_.text, gone.begin)) {
      why = "it is no statement of its own";
      return false;
    }
    const std::size_t at = offset_of_line(scan_.text, to);
    const std::size_t first = scan_.text.find_first_not_of(" \t", at);
    Edit put{at, at, {}};
    put.text =
        indent_at(scan_.text, first) +
        scan_.text.substr(where.statement_begin, where.statement_end - where.statement_begin) +
        ";" + newline_of(scan_.text, at);
    edits_.push_back(gone);
    edits_.push_back(put);
    return true;
  }

  std::string result() const { return apply_edits(scan_.text, edits_); }

 private:
  bool remove_cuda(std::size_t wait, std::string& why) {
    const WaitSite& site = scan_.unit.program.waits[wait];
    const WaitText& where = scan_.unit.wait_texts[wait];
    Edit edit;
    if (statement_range(scan_.text, where.statement_begin, where.statement_end, edit) &&
        !is_bare_body(scan_.text, edit.begin)) {
      edits_.push_back(edit);
      return true;
    }
    const bool cuda = site.call.starts_with("cuda");
    if (!cuda && !site.call.starts_with("hip")) {
      why = "the driver API has no call that only looks at the last error";
      return false;
    }
    // The check around it stays and sees what the launches before it reported.
    edits_.push_back(
        {where.begin, where.end, cuda ? "cudaPeekAtLastError()" : "hipPeekAtLastError()"});
    return true;
  }

  bool remove_metal(std::size_t wait, std::string& why) {
    const WaitText& where = scan_.unit.wait_texts[wait];
    Edit gone;
    if (!statement_range(scan_.text, where.statement_begin, where.statement_end, gone) ||
        is_bare_body(scan_.text, gone.begin)) {
      why = "it is no statement of its own";
      return false;
    }
    std::vector<const CommitText*> commits;
    for (const Evidence& evidence : scan_.decisions.commits[wait]) {
      const auto& all = scan_.unit.commits;
      const auto found = std::find_if(all.begin(), all.end(), [&](const CommitText& one) {
        return evidence.file == scan_.number && one.line == evidence.line && one.writable;
      });
      if (found == all.end()) {
        why = fmt::format("no handler can be added to the commit at {}", evidence.line);
        return false;
      }
      commits.push_back(&*found);
    }
    if (commits.empty()) {
      why = "no commit is known for it, so its errors could not be reported";
      return false;
    }
    for (const CommitText* commit : commits) {
      if (!handled_.insert(commit->begin).second) continue;
      if (commit->reported) continue;
      edits_.push_back({commit->begin, commit->begin, handler_text(*commit, scan_.text)});
      if (needs_cstdio(*commit, scan_.text)) include_cstdio();
    }
    edits_.push_back(gone);
    return true;
  }

  void include_cstdio() {
    std::size_t at = scan_.text.find("#include");
    if (included_ || at == std::string::npos) return;
    included_ = true;
    edits_.push_back({at, at, "#include <cstdio>" + newline_of(scan_.text, at)});
  }

  const FileScan& scan_;
  std::vector<Edit> edits_;
  std::set<unsigned> handled_;
  bool included_ = false;
};

/// Nothing new may be wrong: no conflict, no parse error, no verdict that the edits have upset.
bool is_sound(const FileScan& before, const FileScan& after, int removed, std::string& why) {
  if (after.unit.unparsed.size() > before.unit.unparsed.size() || after.unit.broken) {
    why = "the edited file would not parse: " +
          (after.unit.unparsed.empty() ? std::string() : after.unit.unparsed.back().second);
    return false;
  }
  if (after.decisions.missing.size() > before.decisions.missing.size()) {
    why = "the edited file would need a wait: " + after.decisions.missing.front().reason;
    return false;
  }
  if (after.missing_elsewhere > before.missing_elsewhere) {
    why = "another file of the program would need a wait";
    return false;
  }
  const auto count = [](const FileScan& scan) {
    return static_cast<int>(scan.unit.program.waits.size());
  };
  if (count(after) != count(before) - removed) {
    why = "the edited file has another number of waits than planned";
    return false;
  }
  return true;
}

class Fixer {
 public:
  Fixer(const ScanResult& result, const FileScan& scan, const FixOptions& options)
      : result_(result), current_(scan), options_(options), only_(options.only) {
    fix_.before = scan.text;
  }

  Fix run() {
    move_all();
    remove_all();
    // A wait that has moved or gone may let another one go.
    for (int round = 0; round < kMostRounds && only_.empty() && changed_; ++round) {
      changed_ = false;
      move_all();
      remove_all();
    }
    if (options_.batch && only_.empty()) join_all();
    if (options_.strategic == Strategic::loop && only_.empty()) bound_loops();
    fix_.after = current_.text;
    return std::move(fix_);
  }

 private:
  static constexpr int kMostRounds = 4;
  static constexpr int kMostMoves = 64;

  bool chosen(unsigned line) const { return options_.only.empty() || only_.contains(line); }

  void note(unsigned line, const std::string& what, const std::string& why) {
    const std::string place = line > 0 ? fmt::format(":{}", line) : "";
    const std::string text = fmt::format("{}{}: {}: {}", current_.path, place, what, why);
    if (std::find(fix_.notes.begin(), fix_.notes.end(), text) == fix_.notes.end()) {
      fix_.notes.push_back(text);
    }
  }

  /// Takes the text over when it holds up under a new analysis.
  bool take(const std::string& text, int waits_less, std::string& why) {
    FileScan next = scan_again(result_, current_, text, options_.scan);
    if (!is_sound(current_, next, waits_less, why)) return false;
    current_ = std::move(next);
    changed_ = true;
    return true;
  }

  void move_all();
  void remove_all();
  void join_all();
  void bound_loops();

  const ScanResult& result_;
  FileScan current_;
  const FixOptions& options_;
  std::set<unsigned> only_;  // Follows the lines as they shift.
  std::set<std::string> refused_;
  bool changed_ = false;
  Fix fix_;
};

/// From the last wait to the first, so that the lines of those still to come stay; verdicts
/// "deferrable" hold one at a time, so each move is followed by a new analysis.
void Fixer::move_all() {
  for (int moves = 0; moves < kMostMoves; ++moves) {
    std::size_t next = current_.decisions.waits.size();
    unsigned last = 0;
    for (std::size_t i = 0; i < current_.decisions.waits.size(); ++i) {
      const WaitSite& site = current_.unit.program.waits[i];
      const bool open = current_.decisions.waits[i].verdict == Verdict::deferrable &&
                        chosen(site.line) && site.line > last &&
                        !refused_.contains(fmt::format("{}:{}", site.line, site.call));
      if (!open) continue;
      next = i;
      last = site.line;
    }
    if (last == 0) return;
    const WaitSite site = current_.unit.program.waits[next];
    const unsigned to = current_.decisions.waits[next].defer_to;
    refused_.insert(fmt::format("{}:{}", site.line, site.call));
    Planner mover(current_);
    std::string why;
    if (!mover.move(next, why) || !take(mover.result(), 0, why)) {
      note(site.line, "not moved", why);
      continue;
    }
    ++fix_.moved;
    std::set<unsigned> shifted;
    for (const unsigned line : only_) {
      if (line != site.line) shifted.insert(line > site.line && line < to ? line - 1 : line);
    }
    only_ = std::move(shifted);
    if (!options_.only.empty() && only_.empty()) return;
  }
}

void Fixer::remove_all() {
  if (!options_.only.empty() && only_.empty()) return;
  Planner planner(current_);
  int removed = 0;
  std::string why;
  for (std::size_t i = 0; i < current_.decisions.waits.size(); ++i) {
    const unsigned line = current_.unit.program.waits[i].line;
    if (current_.decisions.waits[i].verdict != Verdict::redundant || !chosen(line)) continue;
    if (planner.remove(i, why)) {
      ++removed;
    } else {
      note(line, "kept", why);
    }
  }
  if (removed == 0) return;
  if (take(planner.result(), removed, why)) {
    fix_.removed += removed;
  } else {
    note(0, "no wait removed", why);
  }
}

void Fixer::join_all() {
  const Batch batch = plan_batch(current_);
  if (batch.joins == 0) return;
  std::string why;
  if (take(apply_edits(current_.text, batch.edits), 0, why)) {
    fix_.joined += batch.joins;
  } else {
    note(0, "no command buffers joined", why);
  }
}

void Fixer::bound_loops() {
  const std::vector<Edit> edits = plan_loop_waits(current_);
  if (edits.empty()) return;
  std::string why;
  const int count = static_cast<int>(edits.size());
  if (take(apply_edits(current_.text, edits), -count, why)) {
    fix_.added += count;
  } else {
    note(0, "no wait added", why);
  }
}

}  // namespace

Fix plan_fix(const FileScan& scan, const FixOptions& options) {
  return plan_fix({}, scan, options);
}

Fix plan_fix(const ScanResult& result, const FileScan& scan, const FixOptions& options) {
  return Fixer(result, scan, options).run();
}

}  // namespace cajal::sync
