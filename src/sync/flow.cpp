#include "sync/flow.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "sync/flow_state.h"
#include "sync/graph.h"

namespace cajal::sync {
namespace {

constexpr int kNotRemoved = -1;

int first_object(int path) { return -(path + 2); }
int made_object(int event) { return 2 * event; }
int earlier_object(int object) { return object + 1; }

void cover(Work& work, int object) {
  work.tokens.insert(object);
  work.maybe.insert(object);
}

class Flow {
 public:
  Flow(FlatGraph& graph, const FlowQuery& query)
      : graph_(graph), query_(query), outside_(work_from_outside()) {}

  FlowResult run() {
    std::vector<State> in(graph_.blocks.size());
    in[graph_.entry] = at_entry();
    settle(in);
    reporting_ = true;
    for (std::size_t block = 0; block < in.size(); ++block) {
      if (!in[block].reached) continue;
      const State out = through(static_cast<int>(block), in[block]);
      if (static_cast<int>(block) == graph_.exit) at_exit(out);
    }
    return std::move(result_);
  }

 private:
  std::vector<Work> work_from_outside();
  void add_outside_work(State& state) const;
  State at_entry() const;
  void settle(std::vector<State>& in);
  State through(int block, State state);
  void apply(int event, State& state);
  void at_exit(const State& state);

  int object(const State& state, int path) const;
  bool may_be_on(const Work& work, int object);
  void make(int event, State& state);
  void bind(State& state, int path, int object) const;
  void encode(int event, State& state);
  void commit(int event, State& state);
  void submit(int event, State& state);
  void launch(int event, State& state, Work work, int queue);
  void record(const FlatEvent& event, State& state);
  void order(const FlatEvent& event, State& state);
  void wait(const FlatEvent& event, State& state, int wait_index, bool here);
  void mark(int event, State& state);
  void outcome(int event, const State& state);
  void host(int event, State& state);
  void unknown(int event, State& state);
  void leave(int event, State& state);
  void forget_frame(const FlatFrame& frame, State& state) const;
  void check_later_work(int event, const Work& later, int queue, const State& state);

  int event_of(const FlatEvent& flat) const {
    return static_cast<int>(&flat - graph_.events.data());
  }
  void report(Conflict conflict) {
    if (reporting_ && reported_.insert({conflict.site, conflict.event, conflict.by}).second) {
      result_.conflicts.push_back(conflict);
    }
  }

  FlatGraph& graph_;
  const FlowQuery& query_;
  std::vector<Work> outside_;
  FlowResult result_;
  bool reporting_ = false;
  std::set<std::tuple<int, int, int>> reported_;
};

/// Code out of sight, the caller first of all, may have left work on every queue and command buffer
/// that it can see as well.
std::vector<Work> Flow::work_from_outside() {
  std::vector<Work> out;
  std::set<int> seen;
  const auto add = [&](int path) {
    if (path < 0 || !seen.insert(path).second || !graph_.paths.escapes(path)) return;
    Work work;
    work.wild = true;
    if (is_definite(graph_.paths.path(path))) cover(work, first_object(path));
    out.push_back(work);
  };
  bool device_wide = false;
  for (const FlatEvent& event : graph_.events) {
    if (event.op == Op::wait && event.target >= 0) add(event.target);
    if (event.op == Op::wait && event.target < 0) device_wide = true;
    if (event.op == Op::make || event.op == Op::record || event.op == Op::order) add(event.source);
    if (event.op == Op::submit) add(event.target);
  }
  if (device_wide) {
    Work work;
    work.wild = true;
    out.push_back(work);
  }
  return out;
}

void Flow::add_outside_work(State& state) const {
  int site = kEarlierWork;
  for (const Work& work : outside_) state.add_work({site--, kNotRemoved}, work);
}

State Flow::at_entry() const {
  State state;
  state.reached = true;
  if (!graph_.starts_program) add_outside_work(state);
  return state;
}

void Flow::settle(std::vector<State>& in) {
  const std::vector<int> order = reverse_postorder(graph_);
  std::vector<int> place(graph_.blocks.size());
  for (std::size_t i = 0; i < order.size(); ++i) place[order[i]] = static_cast<int>(i);
  std::set<int> ready{place[graph_.entry]};
  while (!ready.empty()) {
    const int block = order[*ready.begin()];
    ready.erase(ready.begin());
    const State out = through(block, in[block]);
    for (const int next : graph_.blocks[block].next) {
      State joined = in[next];
      joined.join(out);
      if (joined == in[next]) continue;
      in[next] = std::move(joined);
      ready.insert(place[next]);
    }
  }
}

State Flow::through(int block, State state) {
  for (const int event : graph_.blocks[block].events) apply(event, state);
  return state;
}

void Flow::apply(int event, State& state) {
  const FlatEvent& flat = graph_.events[event];
  switch (flat.op) {
    case Op::make:
      return make(event, state);
    case Op::copy:
      return bind(state, flat.target,
                  flat.origin->traits.null ? kNull : object(state, flat.source));
    case Op::encode:
      return encode(event, state);
    case Op::commit:
      return commit(event, state);
    case Op::submit:
      return submit(event, state);
    case Op::record:
      return record(flat, state);
    case Op::order:
      return order(flat, state);
    case Op::wait:
      return wait(flat, state, flat.origin->wait, false);
    case Op::mark:
      return mark(event, state);
    case Op::status:
      return outcome(event, state);
    case Op::host:
      return host(event, state);
    case Op::unknown:
      return unknown(event, state);
    case Op::leave:
      return leave(event, state);
    case Op::alias:
    case Op::call:
      return;
  }
}

int Flow::object(const State& state, int path) const {
  if (path < 0 || !is_definite(graph_.paths.path(path))) return kNoObject;
  const auto at = state.bindings.find(path);
  return at == state.bindings.end() ? first_object(path) : at->second;
}

/// Waiting for the object may end the work: it is known to on some path, or names alone cannot
/// tell.
bool Flow::may_be_on(const Work& work, int object) {
  if (object == kNull) return false;
  if (object == kNoObject || work.maybe.empty()) return true;
  if (work.maybe.contains(object)) return true;
  if (object >= 0) return false;
  for (const int token : work.maybe) {
    if (token < kNoObject && token != kNull && graph_.paths.overlap(-token - 2, -object - 2))
      return true;
  }
  return false;
}

void Flow::bind(State& state, int path, int object) const {
  if (path < 0 || !is_definite(graph_.paths.path(path))) return;
  state.bindings[path] = object;
  // What was reached through the old value is something else now.
  for (const int part : graph_.paths.below(path)) state.bindings[part] = kNoObject;
}

/// A place that makes an object again and again: the one before it stays known for one generation.
void Flow::make(int event, State& state) {
  const FlatEvent& flat = graph_.events[event];
  const int queue = object(state, flat.source);
  const int fresh = made_object(event);
  const int old = earlier_object(fresh);
  for (auto& [key, work] : state.work) {
    for (IntSet* set : {&work.tokens, &work.maybe}) {
      const bool had = set->contains(fresh);
      set->erase(old);
      set->erase(fresh);
      if (had) set->insert(old);
    }
  }
  for (auto& [path, bound] : state.bindings) {
    if (bound == old) bound = kNoObject;
    if (bound == fresh) bound = old;
  }
  const auto before = state.pending.find(fresh);
  if (before != state.pending.end()) state.pending[old] = before->second;
  Pending pending;
  pending.queue = queue;
  pending.unretained = flat.origin->traits.unretained;
  state.pending[fresh] = pending;
  bind(state, flat.target, fresh);
}

void Flow::encode(int event, State& state) {
  const int target = object(state, graph_.events[event].target);
  if (target != kNoObject) {
    state.pending[target].encodes.insert(event);
    return;
  }
  for (auto& [object, pending] : state.pending) pending.encodes.insert(event);
  state.pending[kNoObject].encodes.insert(event);
}

void Flow::commit(int event, State& state) {
  const int target = object(state, graph_.events[event].target);
  Work work;
  work.wild = target < 0;
  if (target == kNoObject) {
    for (auto& [object, pending] : state.pending) work.encodes.unite(pending.encodes);
    work.maybe_waited = true;
    return launch(event, state, work, kNoObject);
  }
  Pending& pending = state.pending[target];
  pending.committed = true;
  work.encodes = pending.encodes;
  work.unretained = pending.unretained;
  cover(work, target);
  const int queue = pending.queue;
  pending.encodes.clear();
  for (auto& [key, earlier] : state.work) {
    if (may_be_on(earlier, queue)) earlier.maybe.insert(target);
    if (queue != kNoObject && earlier.tokens.contains(queue)) cover(earlier, target);
  }
  launch(event, state, work, queue);
}

void Flow::submit(int event, State& state) {
  const FlatEvent& flat = graph_.events[event];
  Work work;
  work.encodes.insert(event);
  work.blocking = flat.origin->traits.blocking;
  work.legacy = flat.origin->traits.legacy;
  const int queue = object(state, flat.target);
  for (auto& [key, earlier] : state.work) {
    const bool before = (work.legacy && earlier.blocking) || (work.blocking && earlier.legacy);
    if (before && queue != kNoObject) cover(earlier, queue);
  }
  launch(event, state, work, queue);
}

void Flow::launch(int event, State& state, Work work, int queue) {
  if (queue != kNoObject) cover(work, queue);
  check_later_work(event, work, queue, state);
  state.add_work({event, kNotRemoved}, work);
  state.ended.erase(event);
}

void Flow::record(const FlatEvent& event, State& state) {
  const int marker = object(state, event.target);
  const int queue = object(state, event.source);
  if (marker == kNoObject) return;
  state.pending[marker].committed = true;
  for (auto& [key, work] : state.work) {
    work.tokens.erase(marker);
    work.maybe.erase(marker);
    if (may_be_on(work, queue)) work.maybe.insert(marker);
    if (queue != kNoObject && work.tokens.contains(queue)) cover(work, marker);
  }
}

void Flow::order(const FlatEvent& event, State& state) {
  const int marker = object(state, event.source);
  const int queue = object(state, event.target);
  if (marker == kNoObject || queue == kNoObject) return;
  for (auto& [key, work] : state.work) {
    if (may_be_on(work, marker)) work.maybe.insert(queue);
    if (work.tokens.contains(marker)) cover(work, queue);
  }
}

/// `here` for a wait that a query has moved to where the flow now is.
void Flow::wait(const FlatEvent& flat, State& state, int wait_index, bool here) {
  const bool whole_device = flat.target < 0;
  const int target = object(state, flat.target);
  const bool gone = !here && wait_index >= 0 &&
                    (query_.removed.contains(wait_index) || query_.moved.contains(wait_index));
  const auto pending = state.pending.find(target);
  const bool made_here = target >= 0 && pending != state.pending.end();
  const bool unclear =
      !whole_device && (target == kNoObject || (made_here && pending->second.queue != kNoObject &&
                                                !pending->second.committed));
  std::vector<std::pair<std::pair<int, int>, Work>> let_through;
  bool ended_any = false;
  for (auto at = state.work.begin(); at != state.work.end();) {
    const auto key = at->first;
    Work& work = at->second;
    const bool surely = whole_device || (target != kNoObject && work.tokens.contains(target));
    const bool perhaps = surely || may_be_on(work, target);
    if (perhaps) {
      ended_any = ended_any || surely;
      if (reporting_) result_.ended[wait_index].insert(key.first);
      if (!gone && surely) {
        state.ended.insert(key.first);
        if (reporting_ && key.second >= 0) result_.covered[key.second].insert(event_of(flat));
      }
      if (gone && key.second < 0) {
        if (work.unretained) {
          report({Cause::lifetime, key.first, event_of(flat), -1, -1, wait_index, false});
        }
        let_through.emplace_back(std::pair(key.first, wait_index), work);
      }
    }
    // What the wait that is gone may have ended goes on both as it was and as let through by it.
    const bool stays = !surely || (gone && key.second >= 0);
    if (stays) work.maybe_waited = work.maybe_waited || (perhaps && !surely && !gone);
    at = stays ? std::next(at) : state.work.erase(at);
  }
  for (const auto& [key, work] : let_through) state.add_work(key, work);
  // A local that nothing in view has made holds something that only code out of sight knows.
  const bool stranger =
      !whole_device && !ended_any && target < 0 && !graph_.paths.escapes(flat.target);
  if (reporting_ && (unclear || stranger)) result_.unclear.insert(wait_index);
  if (!ended_any || unclear) {
    for (auto& [key, work] : state.work) work.maybe_waited = true;
  }
}

void Flow::mark(int event, State& state) {
  const Event& origin = *graph_.events[event].origin;
  const auto moved = query_.moved.find(origin.wait);
  if (moved == query_.moved.end() || moved->second != origin.line) return;
  const int frame = graph_.events[event].frame;
  for (const FlatEvent& flat : graph_.events) {
    if (flat.op == Op::wait && flat.origin->wait == origin.wait && flat.frame == frame) {
      return wait(flat, state, origin.wait, true);
    }
  }
}

/// What the wait that is gone kept apart on the device: work on another queue, and completion
/// handlers of the earlier work.
void Flow::check_later_work(int event, const Work& later, int queue, const State& state) {
  for (const auto& [key, work] : state.work) {
    if (key.second < 0) continue;
    const bool counts = key.first > kEarlierWork || query_.earlier_work;
    const bool ordered = queue != kNoObject && work.tokens.contains(queue);
    if (work.wild && counts && (query_.handlers || !ordered)) {
      report({Cause::order, key.first, event, -1, -1, key.second, false});
    }
    for (const int encode : work.encodes) {
      for (const FlatAccess& mine : graph_.events[encode].accesses) {
        if (ordered && !mine.handler) continue;
        for (const int other : later.encodes) {
          for (const FlatAccess& theirs : graph_.events[other].accesses) {
            if ((mine.write || theirs.write) && graph_.paths.overlap(mine.path, theirs.path)) {
              report({mine.handler ? Cause::handler : Cause::order, key.first, event, mine.path,
                      encode, key.second, false});
            }
          }
        }
      }
    }
  }
}

void Flow::outcome(int event, const State& state) {
  const int target = object(state, graph_.events[event].target);
  for (const auto& [key, work] : state.work) {
    if (key.second < 0) continue;
    if (target != kNoObject && !work.tokens.contains(target)) continue;
    report({Cause::outcome, key.first, event, graph_.events[event].target, -1, key.second, false});
  }
}

void Flow::host(int event, State& state) {
  const FlatEvent& flat = graph_.events[event];
  for (const auto& [key, work] : state.work) {
    const bool suspicious = !work.wild && !work.maybe_waited;
    if (key.second < 0 && !suspicious) continue;
    const bool earlier = key.first <= kEarlierWork;
    for (const FlatAccess& access : flat.accesses) {
      const bool out_of_sight =
          work.wild && graph_.paths.escapes(access.path) && (!earlier || query_.earlier_work);
      if (out_of_sight) {
        report({Cause::access, key.first, event, access.path, -1, key.second, false});
      }
      if (flat.origin->traits.managed && !work.encodes.empty()) {
        report({Cause::access, key.first, event, access.path, *work.encodes.begin(), key.second,
                work.partial});
      }
      for (const int encode : work.encodes) {
        for (const FlatAccess& other : graph_.events[encode].accesses) {
          if ((access.write || other.write) && graph_.paths.overlap(access.path, other.path)) {
            report(
                {Cause::access, key.first, event, access.path, encode, key.second, work.partial});
          }
        }
      }
    }
  }
}

void Flow::unknown(int event, State& state) {
  const FlatEvent& flat = graph_.events[event];
  const bool all = flat.origin->traits.touches_all;
  for (auto& [key, work] : state.work) {
    bool handed_out = all;
    for (const FlatAccess& handed : flat.accesses) {
      handed_out = handed_out || graph_.paths.escapes(handed.path);
    }
    bool reaches = handed_out && work.wild && (key.first > kEarlierWork || query_.earlier_work);
    for (const int encode : work.encodes) {
      for (const FlatAccess& other : graph_.events[encode].accesses) {
        reaches = reaches || (all && graph_.paths.escapes(other.path));
        for (const FlatAccess& handed : flat.accesses) {
          reaches = reaches || graph_.paths.overlap(handed.path, other.path);
        }
      }
    }
    // A command buffer or queue that is handed over may be waited for there.
    for (const FlatAccess& handed : flat.accesses) {
      const int token = object(state, handed.path);
      reaches = reaches || (token != kNoObject && work.tokens.contains(token));
    }
    if (key.second >= 0 && reaches) {
      report({Cause::unclear, key.first, event, -1, -1, key.second, false});
    }
    work.maybe_waited = work.maybe_waited || all || reaches;
  }
  if (all) add_outside_work(state);
}

void Flow::leave(int event, State& state) {
  const auto frame = graph_.frames.find(graph_.events[event].frame);
  if (frame == graph_.frames.end()) return;
  const auto ends = [&](int path) {
    return graph_.paths.path(path).dies &&
           std::binary_search(frame->second.paths.begin(), frame->second.paths.end(), path);
  };
  for (const auto& [key, work] : state.work) {
    if (key.second < 0) continue;
    for (const int encode : work.encodes) {
      for (const FlatAccess& access : graph_.events[encode].accesses) {
        if (ends(access.path)) {
          report({Cause::scope, key.first, event, access.path, encode, key.second, false});
        }
      }
    }
  }
  forget_frame(frame->second, state);
}

/// What the call's variables were bound to; objects that only they named can never be asked for
/// again.
void Flow::forget_frame(const FlatFrame& frame, State& state) const {
  for (const int path : frame.paths) state.bindings.erase(path);
  for (const int make : frame.makes) {
    for (const int object : {made_object(make), earlier_object(made_object(make))}) {
      const bool named = std::any_of(state.bindings.begin(), state.bindings.end(),
                                     [&](const auto& one) { return one.second == object; });
      const auto at = state.pending.find(object);
      const bool open =
          at != state.pending.end() && !(at->second.committed && at->second.encodes.empty());
      if (named || open) continue;
      if (at != state.pending.end()) state.pending.erase(at);
      for (auto& [key, work] : state.work) {
        work.tokens.erase(object);
        work.maybe.erase(object);
      }
    }
  }
}

void Flow::at_exit(const State& state) {
  for (const auto& [key, work] : state.work) {
    if (key.first > kEarlierWork) result_.left_in_flight.insert(key.first);
    const bool counts = key.first > kEarlierWork || query_.earlier_work;
    if (key.second >= 0 && counts) {
      report({Cause::exit, key.first, -1, -1, -1, key.second, false});
    }
  }
}

}  // namespace

FlowResult run_flow(FlatGraph& graph, const FlowQuery& query) { return Flow(graph, query).run(); }

}  // namespace cajal::sync
