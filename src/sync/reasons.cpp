#include "sync/reasons.h"

#include <fmt/format.h>

#include <tuple>

namespace cajal::sync {
namespace {

unsigned line_of(const FlatGraph& graph, int event) {
  return event >= 0 ? graph.events[event].origin->line : 0;
}

int file_of(const Program& program, const FlatGraph& graph, int event) {
  return event >= 0 ? program.functions[graph.events[event].function].file : 0;
}

/// "48", or "loss.mm:48" in another file than the reader looks at.
std::string place(const Program& program, const FlatGraph& graph, int event, int home) {
  const int file = file_of(program, graph, event);
  const std::string line = std::to_string(line_of(graph, event));
  const auto index = static_cast<std::size_t>(file);
  return file == home || index >= program.files.size() ? line : program.files[index] + ":" + line;
}

std::string path_text(const FlatGraph& graph, int path) {
  return path >= 0 ? to_string(graph.paths.path(path)) : "memory";
}

/// "reads `loss` through `contents` at 1691".
std::string access_text(const FlatGraph& graph, const Conflict& conflict) {
  const FlatEvent& event = graph.events[conflict.event];
  if (!event.origin->text.empty()) return event.origin->text;
  bool write = false;
  for (const FlatAccess& access : event.accesses) {
    write = write || (access.path == conflict.path && access.write);
  }
  return fmt::format("{} `{}`", write ? "writes" : "reads", path_text(graph, conflict.path));
}

std::string submitted_text(const Program& program, const FlatGraph& graph, const Conflict& conflict,
                           int home) {
  if (conflict.site <= kEarlierWork) return "work that other code submitted before";
  return fmt::format("work submitted at {}", place(program, graph, conflict.site, home));
}

int rank(Cause cause) {
  switch (cause) {
    case Cause::access:
    case Cause::scope:
    case Cause::handler:
    case Cause::order:
      return 0;
    case Cause::outcome:
      return 1;
    case Cause::unclear:
    case Cause::lifetime:
      return 2;
    case Cause::exit:
    case Cause::growth:
      break;
  }
  return 3;
}

Decision at_exit(const Program& program, const FlatGraph& graph, const Conflict& conflict,
                 int home) {
  const Function& function = program.functions[graph.root];
  Decision out;
  out.verdict = Verdict::required;
  out.reason = conflict.site <= kEarlierWork
                   ? fmt::format("waits for work that other code submitted, before `{}` returns",
                                 function.name)
                   : fmt::format("`{}` would return with the work of line {} in flight",
                                 function.name, place(program, graph, conflict.site, home));
  if (conflict.site > kEarlierWork) {
    out.evidence.push_back({file_of(program, graph, conflict.site), line_of(graph, conflict.site),
                            "submits the work"});
  }
  out.evidence.push_back({function.file, function.end_line, "returns"});
  return out;
}

}  // namespace

const Conflict* worst_conflict(const FlatGraph& graph, const FlowResult& result, int wait) {
  const Conflict* best = nullptr;
  const auto key = [&](const Conflict& conflict) {
    return std::tuple(rank(conflict.cause), conflict.by == wait ? 0 : 1,
                      conflict.site <= kEarlierWork ? 1 : 0, line_of(graph, conflict.event));
  };
  for (const Conflict& conflict : result.conflicts) {
    if (conflict.by < 0) continue;
    if (best == nullptr || key(conflict) < key(*best)) best = &conflict;
  }
  return best;
}

Decision describe(const Program& program, const FlatGraph& graph, const Conflict& conflict,
                  int home) {
  if (conflict.cause == Cause::exit) return at_exit(program, graph, conflict, home);
  const std::string line = place(program, graph, conflict.event, home);
  const std::string submitted = submitted_text(program, graph, conflict, home);
  const std::string path = path_text(graph, conflict.path);
  Decision out;
  out.verdict = Verdict::required;
  std::string what;
  switch (conflict.cause) {
    case Cause::access:
      what = "host " + access_text(graph, conflict);
      out.reason = fmt::format("{} at {}, {} uses it", what, line, submitted);
      break;
    case Cause::handler:
      what = fmt::format("submits work that uses `{}`", path);
      out.reason = fmt::format("line {} {}, as the completion handler of line {} does", line, what,
                               place(program, graph, conflict.site, home));
      break;
    case Cause::order:
      what = conflict.path >= 0 ? fmt::format("submits work that uses `{}`", path)
                                : "submits work that must come later";
      out.reason =
          fmt::format("line {} {} {}, {} uses it", line, what,
                      graph.untracked ? "and need not come later" : "on another queue", submitted);
      break;
    case Cause::outcome:
      what = "reads the outcome of the command buffer";
      out.reason = fmt::format("host {} at {}", what, line);
      break;
    case Cause::scope:
      what = fmt::format("`{}` ends", path);
      out.reason = fmt::format("{} at {}, {} uses it", what, line, submitted);
      break;
    case Cause::lifetime:
      out.verdict = Verdict::unknown;
      what = "waits for a command buffer that does not retain its buffers";
      out.reason =
          "the command buffer does not retain its buffers: one released too early would be "
          "a use after free";
      break;
    default:
      out.verdict = Verdict::unknown;
      what = graph.events[conflict.event].origin->text;
      out.reason = fmt::format("line {} {}", line, what.empty() ? "runs code out of sight" : what);
  }
  out.evidence.push_back(
      {file_of(program, graph, conflict.event), line_of(graph, conflict.event), what});
  if (conflict.site > kEarlierWork) {
    out.evidence.push_back({file_of(program, graph, conflict.site), line_of(graph, conflict.site),
                            "submits the work"});
  }
  return out;
}

Missing describe_missing(const Program& program, const FlatGraph& graph, const Conflict& conflict) {
  const FlatEvent& event = graph.events[conflict.event];
  Missing out;
  out.file = file_of(program, graph, conflict.event);
  out.line = event.origin->line;
  out.function = program.functions[event.function].name;
  out.access = access_text(graph, conflict);
  out.submitted_at = line_of(graph, conflict.site);
  out.reason = fmt::format("host {} while the work submitted at {} may still use it, and {}",
                           out.access, place(program, graph, conflict.site, out.file),
                           conflict.partial ? "not every path waits" : "nothing waits");
  return out;
}

}  // namespace cajal::sync
