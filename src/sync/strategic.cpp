#include "sync/strategic.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "sync/flatten.h"
#include "sync/graph.h"

namespace cajal::sync {
namespace {

struct Loop {
  bool goes_round = false;
  bool waits = false;
  unsigned last_commit = 0;  // The line of the last one in the function itself.
};

/// The loops of one function with what it calls put in place.
std::vector<Loop> loops_of(const FlatGraph& graph) {
  const std::vector<int> component = components(graph);
  std::vector<Loop> loops(graph.blocks.size());
  for (std::size_t block = 0; block < graph.blocks.size(); ++block) {
    if (component[block] < 0) continue;
    Loop& loop = loops[component[block]];
    for (const int next : graph.blocks[block].next) {
      loop.goes_round = loop.goes_round || component[next] == component[block];
    }
    for (const int at : graph.blocks[block].events) {
      const FlatEvent& event = graph.events[at];
      loop.waits = loop.waits || event.op == Op::wait || event.op == Op::unknown;
      if (event.op == Op::commit && event.function == graph.root) {
        loop.last_commit = std::max(loop.last_commit, event.origin->line);
      }
    }
  }
  return loops;
}

}  // namespace

std::vector<Edit> plan_loop_waits(const FileScan& scan) {
  const Program& program = scan.unit.program;
  const std::vector<bool> silent = find_silent(program);
  const std::vector<AliasFact> facts = find_alias_facts(program);
  std::map<std::size_t, Edit> edits;  // By place: a function may be looked at more than once.
  for (std::size_t i = 0; i < program.functions.size(); ++i) {
    if (silent[i] || !program.functions[i].opaque.empty()) continue;
    const FlatGraph graph = flatten(program, static_cast<int>(i), silent, facts);
    for (const Loop& loop : loops_of(graph)) {
      if (!loop.goes_round || loop.waits || loop.last_commit == 0) continue;
      const auto commit = std::find_if(
          scan.unit.commits.begin(), scan.unit.commits.end(),
          [&](const CommitText& one) { return one.line == loop.last_commit && one.end != 0; });
      if (commit == scan.unit.commits.end()) continue;
      const std::size_t semicolon = scan.text.find(';', commit->end);
      if (semicolon == std::string::npos) continue;
      const std::string wait = commit->objc
                                   ? fmt::format("[{} waitUntilCompleted];", commit->command)
                                   : fmt::format("{}->waitUntilCompleted();", commit->command);
      const std::string gap =
          newline_of(scan.text, commit->begin) + indent_at(scan.text, commit->begin);
      edits[semicolon] = {semicolon + 1, semicolon + 1, gap + wait};
    }
  }
  std::vector<Edit> out;
  for (const auto& [at, edit] : edits) out.push_back(edit);
  return out;
}

}  // namespace cajal::sync
