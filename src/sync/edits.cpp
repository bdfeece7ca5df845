#include "sync/edits.h"

#include <fmt/format.h>

#include <algorithm>

namespace cajal::sync {
namespace {

struct Edit {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::string text;
};

std::string apply(const std::string& text, std::vector<Edit> edits) {
  std::stable_sort(edits.begin(), edits.end(),
                   [](const Edit& a, const Edit& b) { return a.begin < b.begin; });
  std::string out;
  std::size_t at = 0;
  for (const Edit& edit : edits) {
    if (edit.begin < at) continue;
    out += text.substr(at, edit.begin - at) + edit.text;
    at = edit.end;
  }
  return out + text.substr(at);
}

std::size_t line_begin(const std::string& text, std::size_t at) {
  const std::size_t newline = at == 0 ? std::string::npos : text.rfind('\n', at - 1);
  return newline == std::string::npos ? 0 : newline + 1;
}

std::size_t line_end(const std::string& text, std::size_t at) {
  const std::size_t newline = text.find('\n', at);
  return newline == std::string::npos ? text.size() : newline + 1;
}

std::size_t offset_of_line(const std::string& text, unsigned line) {
  std::size_t at = 0;
  for (unsigned i = 1; i < line && at < text.size(); ++i) at = line_end(text, at);
  return at;
}

std::string indent_at(const std::string& text, std::size_t at) {
  const std::size_t begin = line_begin(text, at);
  const std::size_t end = text.find_first_not_of(" \t", begin);
  return text.substr(begin, std::min(end, at) - begin);
}

std::string newline_of(const std::string& text, std::size_t at) {
  const std::size_t end = line_end(text, at);
  return end >= 2 && text[end - 1] == '\n' && text[end - 2] == '\r' ? "\r\n" : "\n";
}

/// The statement with its semicolon; the whole line when nothing else stands on it.
bool statement_range(const std::string& text, const WaitText& where, Edit& out) {
  if (where.statement_end == 0) return false;
  const std::size_t semicolon = text.find_first_not_of(" \t\r\n", where.statement_end);
  if (semicolon == std::string::npos || text[semicolon] != ';') return false;
  out.begin = where.statement_begin;
  out.end = semicolon + 1;
  const std::size_t begin = line_begin(text, out.begin);
  const std::size_t end = line_end(text, out.end);
  const bool alone_before = text.find_first_not_of(" \t", begin) == out.begin;
  const std::size_t rest = text.find_first_not_of(" \t\r", out.end);
  if (alone_before && (rest == std::string::npos || rest + 1 == end)) {
    out.begin = begin;
    out.end = end;
  }
  return true;
}

/// An if or loop without braces has the wait as its whole body: taking it away takes the next
/// statement.
bool is_bare_body(const std::string& text, std::size_t begin) {
  const std::size_t last =
      begin == 0 ? std::string::npos : text.find_last_not_of(" \t\r\n", begin - 1);
  if (last == std::string::npos) return false;
  const char c = text[last];
  const bool word_else = last >= 3 && text.compare(last - 3, 4, "else") == 0;
  return c == ')' || word_else || c == ':';
}

std::string objc_handler(const CommitText& commit, unsigned line) {
  return fmt::format(
      "[{} addCompletedHandler:^(id<MTLCommandBuffer> done) {{ if (done.status == "
      "MTLCommandBufferStatusError) NSLog(@\"{}:{}: command buffer failed, status %lu: %@\", "
      "(unsigned long)done.status, done.error); }}];",
      commit.command, commit.function, line);
}

std::string cpp_handler(const CommitText& commit, unsigned line) {
  return fmt::format(
      "{}->addCompletedHandler(MTL::HandlerFunction([](MTL::CommandBuffer* done) {{ if "
      "(done->status() == MTL::CommandBufferStatusError) fprintf(stderr, \"{}:{}: command buffer "
      "failed, status %lu: %s\\n\", static_cast<unsigned long>(done->status()), done->error() ? "
      "done->error()->localizedDescription()->utf8String() : \"no error\"); }}));",
      commit.command, commit.function, line);
}

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
    if (!where.writable || !statement_range(scan_.text, where, gone) ||
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

  std::string result() const { return apply(scan_.text, edits_); }

 private:
  bool remove_cuda(std::size_t wait, std::string& why) {
    const WaitSite& site = scan_.unit.program.waits[wait];
    const WaitText& where = scan_.unit.wait_texts[wait];
    Edit edit;
    if (statement_range(scan_.text, where, edit) && !is_bare_body(scan_.text, edit.begin)) {
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
    if (!statement_range(scan_.text, where, gone) || is_bare_body(scan_.text, gone.begin)) {
      why = "it is no statement of its own";
      return false;
    }
    std::vector<const CommitText*> commits;
    for (const Evidence& evidence : scan_.decisions.commits[wait]) {
      const auto& all = scan_.unit.commits;
      const auto found = std::find_if(all.begin(), all.end(), [&](const CommitText& one) {
        return one.line == evidence.line && one.writable;
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
      const std::string handler =
          commit->objc ? objc_handler(*commit, commit->line) : cpp_handler(*commit, commit->line);
      const std::string gap =
          newline_of(scan_.text, commit->begin) + indent_at(scan_.text, commit->begin);
      edits_.push_back({commit->begin, commit->begin, handler + gap});
    }
    edits_.push_back(gone);
    return true;
  }

  const FileScan& scan_;
  std::vector<Edit> edits_;
  std::set<unsigned> handled_;
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
  const auto count = [](const FileScan& scan) {
    return static_cast<int>(scan.unit.program.waits.size());
  };
  if (count(after) != count(before) - removed) {
    why = "the edited file has another number of waits than planned";
    return false;
  }
  return true;
}

bool chosen(const FixOptions& options, unsigned line) {
  return options.only.empty() || options.only.contains(line);
}

}  // namespace

Fix plan_fix(const FileScan& scan, const FixOptions& options) {
  Fix fix;
  fix.before = fix.after = scan.text;
  Planner planner(scan);
  for (std::size_t i = 0; i < scan.decisions.waits.size(); ++i) {
    const unsigned line = scan.unit.program.waits[i].line;
    if (scan.decisions.waits[i].verdict != Verdict::redundant || !chosen(options, line)) continue;
    std::string why;
    if (planner.remove(i, why)) {
      ++fix.removed;
    } else {
      fix.notes.push_back(fmt::format("{}:{}: kept: {}", scan.path, line, why));
    }
  }
  std::string why;
  FileScan current = scan;
  if (fix.removed > 0) {
    const std::string text = planner.result();
    FileScan next = scan_text(scan.path, text, options.scan);
    if (!is_sound(scan, next, fix.removed, why)) {
      fix.notes.push_back(fmt::format("{}: nothing written: {}", scan.path, why));
      fix.removed = 0;
      return fix;
    }
    current = std::move(next);
    fix.after = text;
  }
  // Verdicts "deferrable" hold one at a time, so each move is followed by a new analysis.
  constexpr int kMostMoves = 32;
  std::set<unsigned> refused;
  for (int move = 0; move < kMostMoves && options.only.empty(); ++move) {
    std::size_t next = current.decisions.waits.size();
    for (std::size_t i = 0; i < current.decisions.waits.size(); ++i) {
      const bool open = current.decisions.waits[i].verdict == Verdict::deferrable &&
                        !refused.contains(current.unit.program.waits[i].line);
      if (open) next = std::min(next, i);
    }
    if (next == current.decisions.waits.size()) break;
    Planner mover(current);
    const unsigned line = current.unit.program.waits[next].line;
    refused.insert(line);
    if (!mover.move(next, why)) {
      fix.notes.push_back(fmt::format("{}:{}: not moved: {}", scan.path, line, why));
      continue;
    }
    FileScan moved = scan_text(scan.path, mover.result(), options.scan);
    if (!is_sound(current, moved, 0, why)) {
      fix.notes.push_back(fmt::format("{}:{}: not moved: {}", scan.path, line, why));
      continue;
    }
    fix.after = moved.text;
    current = std::move(moved);
    ++fix.moved;
    refused.clear();
  }
  // A wait that has moved may make another one redundant.
  if (fix.moved > 0 && options.only.empty()) {
    Fix more = plan_fix(current, options);
    fix.after = more.after;
    fix.removed += more.removed;
    fix.moved += more.moved;
  }
  return fix;
}

}  // namespace cajal::sync
