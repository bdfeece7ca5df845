#include "sync/decide.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <tuple>

#include "sync/flow.h"
#include "sync/graph.h"
#include "sync/reasons.h"

namespace cajal::sync {
namespace {

/// Functions from which everything else is reached: those that code out of sight may call, those
/// that nobody calls, and whatever those do not reach.
std::vector<int> find_roots(const Program& program) {
  const auto count = program.functions.size();
  std::vector<bool> called(count);
  std::vector<bool> blind(count);
  for (const Function& function : program.functions) {
    for (const Block& block : function.blocks) {
      for (const Event& event : block.events) {
        if (event.op != Op::call) continue;
        called[event.callee] = true;
        blind[event.callee] = blind[event.callee] || !function.opaque.empty();
      }
    }
  }
  std::vector<int> roots;
  for (std::size_t i = 0; i < count; ++i) {
    const Function& function = program.functions[i];
    if (function.block && called[i] && !blind[i]) continue;
    if (function.opaque.empty() && (function.external || !called[i] || blind[i])) {
      roots.push_back(static_cast<int>(i));
    }
  }
  return roots;
}

bool has_wait(const Function& function) {
  return std::any_of(function.blocks.begin(), function.blocks.end(), [](const Block& block) {
    return std::any_of(block.events.begin(), block.events.end(),
                       [](const Event& event) { return event.op == Op::wait && event.wait >= 0; });
  });
}

class Decider {
 public:
  explicit Decider(const Program& program)
      : program_(program), silent_(find_silent(program)), facts_(find_alias_facts(program)) {
    for (const int root : find_roots(program)) add_root(root);
    for (std::size_t i = 0; i < program.functions.size(); ++i) {
      const Function& function = program.functions[i];
      if (function.opaque.empty() && !placed_.contains(static_cast<int>(i)) && has_wait(function)) {
        add_root(static_cast<int>(i));
      }
    }
    learn();
    find_twins();
  }

  Decisions run() {
    choose();
    for (FlatGraph& graph : graphs_) after_.push_back(run_flow(graph, query(removed_)));
    Decisions decisions;
    decisions.busiest = find_busiest();
    for (std::size_t i = 0; i < program_.waits.size(); ++i) {
      decisions.waits.push_back(judge(static_cast<int>(i)));
      decisions.commits.push_back(commits_of(static_cast<int>(i)));
    }
    decisions.missing = find_missing();
    return decisions;
  }

  bool conflicts(const std::set<int>& removed) {
    for (std::size_t i = 0; i < graphs_.size(); ++i) {
      if (fails(i, removed, {})) return true;
    }
    return false;
  }

 private:
  void add_root(int root) {
    if (silent_[root]) return;
    graphs_.push_back(flatten(program_, root, silent_, facts_));
    for (const FlatEvent& event : graphs_.back().events) placed_.insert(event.function);
  }

  void learn();
  void choose();
  void find_twins();
  std::set<int> blamed(FlatGraph& graph);
  std::vector<int> busiest_first(const std::set<int>& waits) const;
  bool remove_too(int wait);
  void keep_rarer(int wait);
  bool fails(std::size_t graph, const std::set<int>& removed, const std::map<int, unsigned>& moved);
  bool fails_anywhere(int wait, const std::set<int>& removed);
  Decision judge(int wait);
  Decision explain_gone(int wait) const;
  Decision explain_kept(int wait);
  Busiest find_busiest() const;
  unsigned find_later_place(int wait);
  bool worth_moving(int wait, unsigned to) const;
  std::vector<Evidence> commits_of(int wait) const;
  std::vector<Missing> find_missing() const;
  FlowQuery query(const std::set<int>& removed) const {
    FlowQuery out;
    out.removed = removed;
    out.earlier_work = earlier_work_;
    out.handlers = handlers_;
    return out;
  }

  const Program& program_;
  std::vector<bool> silent_;
  std::vector<AliasFact> facts_;
  std::vector<FlatGraph> graphs_;
  std::vector<FlowResult> before_;
  std::vector<FlowResult> after_;  // Without what is removed.
  std::set<int> placed_;
  std::vector<std::vector<std::size_t>> graphs_of_;  // For each wait.
  std::vector<std::vector<int>> twins_of_;           // For each wait, those of the same text.
  std::vector<double> rounds_;                       // For each wait, how often it may run.
  std::set<int> unclear_;
  std::set<int> cut_;
  bool earlier_work_ = false;  // Some function returns with work in flight, or waits for such work.
  bool handlers_ = false;
  std::set<int> removed_;
};

/// What the program does as it stands.
void Decider::learn() {
  graphs_of_.resize(program_.waits.size());
  rounds_.resize(program_.waits.size());
  std::set<int> seeing;
  for (std::size_t i = 0; i < graphs_.size(); ++i) {
    FlatGraph& graph = graphs_[i];
    std::set<int> waits;
    for (const FlatEvent& event : graph.events) {
      if (event.op == Op::wait && event.origin->wait >= 0) waits.insert(event.origin->wait);
    }
    for (const FlatEvent& event : graph.events) {
      handlers_ = handlers_ || std::any_of(event.accesses.begin(), event.accesses.end(),
                                           [](const FlatAccess& one) { return one.handler; });
    }
    for (const int wait : waits) {
      graphs_of_[wait].push_back(i);
      if (!graph.complete) cut_.insert(wait);
    }
    for (std::size_t block = 0; block < graph.blocks.size(); ++block) {
      for (const int event : graph.blocks[block].events) {
        const int wait = graph.events[event].origin->wait;
        if (graph.events[event].op == Op::wait && wait >= 0) {
          rounds_[wait] += rounds_at(graph.depths[block]);
        }
      }
    }
    before_.push_back(run_flow(graph, {}));
    const FlowResult& result = before_.back();
    unclear_.insert(result.unclear.begin(), result.unclear.end());
    const bool whole = program_.functions[graph.root].name == "main";
    earlier_work_ = earlier_work_ || (!whole && !result.left_in_flight.empty());
    for (const auto& [wait, sites] : result.ended) {
      const bool sees =
          std::any_of(sites.begin(), sites.end(), [](int site) { return site > kEarlierWork; });
      if (sees) seeing.insert(wait);
    }
  }
  for (const FlowResult& result : before_) {
    for (const auto& [wait, sites] : result.ended) {
      earlier_work_ = earlier_work_ || (wait >= 0 && !seeing.contains(wait) && !sites.empty());
    }
  }
}

bool Decider::fails(std::size_t graph, const std::set<int>& removed,
                    const std::map<int, unsigned>& moved) {
  FlowQuery asked = query(removed);
  asked.moved = moved;
  const FlowResult result = run_flow(graphs_[graph], asked);
  const bool conflict = std::any_of(result.conflicts.begin(), result.conflicts.end(),
                                    [](const Conflict& one) { return one.by >= 0; });
  return conflict || find_unbounded(graphs_[graph], removed) >= 0;
}

bool Decider::fails_anywhere(int wait, const std::set<int>& removed) {
  return std::any_of(graphs_of_[wait].begin(), graphs_of_[wait].end(),
                     [&](std::size_t graph) { return fails(graph, removed, {}); });
}

/// Takes away everything that is open, and puts back a wait before each conflict until there is
/// none: the one that runs least often. What was put back is tried once more, one by one, first
/// what runs most often.
void Decider::choose() {
  for (std::size_t i = 0; i < program_.waits.size(); ++i) {
    const int wait = static_cast<int>(i);
    const bool open = program_.waits[i].settled == Settled::no && !graphs_of_[i].empty() &&
                      !unclear_.contains(wait) && !cut_.contains(wait);
    if (open) removed_.insert(wait);
  }
  std::set<int> put_back;
  for (bool changed = true; changed && !removed_.empty();) {
    changed = false;
    for (FlatGraph& graph : graphs_) {
      for (const int wait : blamed(graph)) {
        removed_.erase(wait);
        put_back.insert(wait);
        changed = true;
      }
    }
  }
  constexpr std::size_t kMostSecondTries = 48;
  if (put_back.size() <= kMostSecondTries) {
    const std::vector<int> again = busiest_first(put_back);
    for (const int wait : again) remove_too(wait);
    for (const int wait : again) {
      if (!removed_.contains(wait)) keep_rarer(wait);
    }
  }
  // A template's instantiations share their text: what one of them needs stays in all.
  std::erase_if(removed_, [&](int wait) {
    const std::vector<int>& twins = twins_of_[static_cast<std::size_t>(wait)];
    return std::any_of(twins.begin(), twins.end(),
                       [&](int twin) { return !removed_.contains(twin); });
  });
}

std::vector<int> Decider::busiest_first(const std::set<int>& waits) const {
  std::vector<int> sorted(waits.begin(), waits.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](int one, int other) { return rounds_[one] > rounds_[other]; });
  return sorted;
}

/// Removes the wait as well if nothing goes wrong then.
bool Decider::remove_too(int wait) {
  removed_.insert(wait);
  const bool fine = !fails_anywhere(wait, removed_);
  if (!fine) removed_.erase(wait);
  return fine;
}

/// Puts back waits that run less often and end the same work, if that lets this one go.
void Decider::keep_rarer(int wait) {
  std::set<int> rarer;
  for (const std::size_t at : graphs_of_[wait]) {
    FlowResult result = run_flow(graphs_[at], query({wait}));
    for (const int event : result.covered[wait]) {
      const int other = graphs_[at].events[event].origin->wait;
      const bool gone = other >= 0 && removed_.contains(other);
      if (gone && rounds_[other] < rounds_[wait]) rarer.insert(other);
    }
  }
  if (rarer.empty()) return;
  const std::set<int> before = removed_;
  for (const int other : rarer) removed_.erase(other);
  double kept = 0.0;
  if (remove_too(wait)) {
    for (const int other : busiest_first(rarer)) {
      if (!remove_too(other)) kept += rounds_[other];
    }
  }
  if (!removed_.contains(wait) || kept >= rounds_[wait]) removed_ = before;
}

/// Waits at the same place in the source.
void Decider::find_twins() {
  std::map<std::tuple<int, unsigned, unsigned>, std::vector<int>> places;
  for (std::size_t i = 0; i < program_.waits.size(); ++i) {
    const WaitSite& site = program_.waits[i];
    places[{site.file, site.line, site.column}].push_back(static_cast<int>(i));
  }
  twins_of_.resize(program_.waits.size());
  for (const auto& [place, waits] : places) {
    for (const int wait : waits) twins_of_[static_cast<std::size_t>(wait)] = waits;
  }
}

/// For each place where it goes wrong, one of the removed waits that let it through: the one that
/// runs least often, the last of several.
std::set<int> Decider::blamed(FlatGraph& graph) {
  const auto rather = [&](int one, int other) {
    return rounds_[one] != rounds_[other] ? rounds_[one] < rounds_[other] : one > other;
  };
  std::map<int, int> best;
  for (const Conflict& conflict : run_flow(graph, query(removed_)).conflicts) {
    if (conflict.by < 0) continue;
    const auto [at, inserted] = best.try_emplace(conflict.event, conflict.by);
    if (!inserted && rather(conflict.by, at->second)) at->second = conflict.by;
  }
  std::set<int> out;
  for (const auto& [event, wait] : best) out.insert(wait);
  if (out.empty()) {
    const int wait = find_unbounded(graph, removed_);
    if (wait >= 0) out.insert(wait);
  }
  return out;
}

Decision Decider::judge(int wait) {
  const WaitSite& site = program_.waits[wait];
  if (site.settled == Settled::contract) return {Verdict::contract, 0, site.why, {}};
  if (site.settled == Settled::timing) return {Verdict::timing, 0, site.why, {}};
  if (site.settled == Settled::semaphore) return {Verdict::required, 0, site.why, {}};
  if (site.settled == Settled::unknown) return {Verdict::unknown, 0, site.why, {}};
  if (graphs_of_[wait].empty()) {
    return {Verdict::unknown, 0, "no path of the function that can be followed leads here", {}};
  }
  if (cut_.contains(wait)) return {Verdict::unknown, 0, "too many calls below to follow", {}};
  if (unclear_.contains(wait)) {
    return {Verdict::unknown, 0, "it is not clear what this waits for", {}};
  }
  if (removed_.contains(wait)) return explain_gone(wait);
  Decision decision = explain_kept(wait);
  if (decision.verdict != Verdict::required) return decision;
  decision.defer_to = find_later_place(wait);
  if (decision.defer_to != 0) decision.verdict = Verdict::deferrable;
  return decision;
}

Decision Decider::explain_gone(int wait) const {
  std::set<std::tuple<int, unsigned>> lines;
  for (const std::size_t at : graphs_of_[wait]) {
    const auto covered = after_[at].covered.find(wait);
    if (covered == after_[at].covered.end()) continue;
    for (const int event : covered->second) {
      const FlatEvent& flat = graphs_[at].events[event];
      lines.insert({program_.functions[flat.function].file, flat.origin->line});
    }
  }
  Decision out{Verdict::redundant, 0, "nothing that comes after it conflicts with its work", {}};
  if (lines.empty()) return out;
  for (const auto& [file, line] : lines) out.evidence.push_back({file, line, "waits for the work"});
  std::vector<std::string> places;
  for (const auto& [file, line] : lines) {
    const bool elsewhere = file != program_.waits[wait].file && !program_.files.empty();
    places.push_back(
        elsewhere ? fmt::format("{}:{}", program_.files[static_cast<std::size_t>(file)], line)
                  : std::to_string(line));
  }
  if (places.size() > 3) places = {places[0], places[1], "others"};
  out.reason = fmt::format("on every path the wait at {} comes before any access that conflicts",
                           fmt::join(places, " or "));
  return out;
}

Busiest Decider::find_busiest() const {
  Busiest busiest;
  for (const FlatGraph& graph : graphs_) {
    const Round round = busiest_round(graph, removed_);
    // A loop runs more often than any function that is called once.
    if (std::pair(round.loop, round.waits) <= std::pair(busiest.loop, busiest.waits)) continue;
    busiest = {program_.functions[graph.root].name, round.loop, round.waits, round.after};
  }
  return busiest;
}

Decision Decider::explain_kept(int wait) {
  std::set<int> with = removed_;
  with.insert(wait);
  Decision growth;
  for (const std::size_t at : graphs_of_[wait]) {
    const FlowResult result = run_flow(graphs_[at], query(with));
    const Conflict* worst = worst_conflict(graphs_[at], result, wait);
    if (worst != nullptr) return describe(program_, graphs_[at], *worst, program_.waits[wait].file);
    if (find_unbounded(graphs_[at], with) >= 0) {
      growth = {Verdict::required,
                0,
                "bounds the work in flight: without it the loop goes round without a wait",
                {}};
    }
  }
  if (growth.reason.empty() && twins_of_[static_cast<std::size_t>(wait)].size() > 1) {
    return {Verdict::required, 0, "another instantiation of the same code needs it", {}};
  }
  return growth.reason.empty() ? Decision{Verdict::unknown, 0, "the analysis did not settle it", {}}
                               : growth;
}

/// The last marked place after the wait to which it can move with every other decision in force.
unsigned Decider::find_later_place(int wait) {
  if (twins_of_[static_cast<std::size_t>(wait)].size() > 1) return 0;
  std::set<unsigned> lines;
  for (const std::size_t at : graphs_of_[wait]) {
    for (const FlatEvent& event : graphs_[at].events) {
      if (event.op == Op::mark && event.origin->wait == wait) lines.insert(event.origin->line);
    }
  }
  unsigned best = 0;
  for (const unsigned line : lines) {
    const bool bad =
        std::any_of(graphs_of_[wait].begin(), graphs_of_[wait].end(), [&](std::size_t graph) {
          return fails(graph, removed_, {{wait, line}});
        });
    if (bad) break;
    best = line;
  }
  return best != 0 && worth_moving(wait, best) ? best : 0;
}

/// Something happens between the two places: work is submitted or host code runs. To change places
/// with another wait gains nothing.
bool Decider::worth_moving(int wait, unsigned to) const {
  const WaitSite& site = program_.waits[wait];
  for (const std::size_t at : graphs_of_[wait]) {
    for (const FlatEvent& event : graphs_[at].events) {
      if (program_.functions[event.function].file != site.file) continue;
      const unsigned line = event.origin->line;
      if (program_.functions[event.function].name != site.function) continue;
      const bool idle = event.op == Op::mark || event.op == Op::wait;
      if (idle || line <= site.line || line >= to) continue;
      return true;
    }
  }
  return false;
}

std::vector<Evidence> Decider::commits_of(int wait) const {
  std::set<std::tuple<int, unsigned>> lines;
  for (const std::size_t at : graphs_of_[wait]) {
    const auto ended = before_[at].ended.find(wait);
    if (ended == before_[at].ended.end()) continue;
    for (const int site : ended->second) {
      if (site <= kEarlierWork) continue;
      const FlatEvent& event = graphs_[at].events[site];
      lines.insert({program_.functions[event.function].file, event.origin->line});
    }
  }
  std::vector<Evidence> out;
  for (const auto& [file, line] : lines) out.push_back({file, line, "commits the work"});
  return out;
}

std::vector<Missing> Decider::find_missing() const {
  std::vector<Missing> out;
  std::set<std::tuple<int, unsigned, std::string>> seen;
  for (std::size_t at = 0; at < graphs_.size(); ++at) {
    for (const Conflict& conflict : before_[at].conflicts) {
      if (conflict.by >= 0 || conflict.cause != Cause::access) continue;
      Missing one = describe_missing(program_, graphs_[at], conflict);
      if (seen.insert({one.file, one.line, one.access}).second) out.push_back(std::move(one));
    }
  }
  std::sort(out.begin(), out.end(), [](const Missing& a, const Missing& b) {
    return std::tie(a.file, a.line) < std::tie(b.file, b.line);
  });
  return out;
}

}  // namespace

std::string_view name_of(Verdict verdict) {
  constexpr std::array<std::string_view, 6> kNames = {"required", "deferrable", "redundant",
                                                      "unknown",  "contract",   "timing"};
  return kNames[static_cast<std::size_t>(verdict)];
}

Decisions decide(const Program& program) { return Decider(program).run(); }

bool conflicts_without(const Program& program, const std::vector<int>& waits) {
  return Decider(program).conflicts({waits.begin(), waits.end()});
}

}  // namespace cajal::sync
