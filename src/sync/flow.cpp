#include "sync/flow.h"

#include <algorithm>
#include <utility>

#include "sync/flow_walk.h"
#include "sync/graph.h"

namespace cajal::sync {
namespace {

constexpr int kNotRemoved = -1;

void cover(const State& state, Work& work, int object) {
  work.tokens.insert(object);
  work.maybe.insert(object);
  const auto joined = state.joined.find(object);
  if (joined != state.joined.end()) work.maybe.unite(joined->second);
}

}  // namespace

/// Code out of sight, the caller first of all, may have left work on every queue and command buffer
/// that it can see as well.
std::vector<int> Flow::paths_from_outside() {
  std::vector<int> out;
  std::set<int> seen;
  const auto add = [&](int path) {
    if (path >= 0 && seen.insert(path).second && graph_.paths.escapes(path)) out.push_back(path);
  };
  bool device_wide = false;
  for (const FlatEvent& event : graph_.events) {
    if (event.op == Op::wait && event.target >= 0) add(event.target);
    if (event.op == Op::wait && event.target < 0) device_wide = true;
    const bool has_source = event.op == Op::make || event.op == Op::record ||
                            event.op == Op::order || event.op == Op::copy;
    if (has_source) add(event.source);
    if (event.op == Op::submit) add(event.target);
  }
  if (device_wide) out.push_back(-1);
  return out;
}

void Flow::add_outside_work(State& state) const {
  int site = kEarlierWork;
  for (const int path : outside_) {
    Work work;
    work.wild = true;
    const int on = object(state, path);
    if (on != kNoObject && on != kNull) cover(state, work, on);
    state.add_work({site--, kNotRemoved}, work);
  }
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
      joined.join(out, next, graph_.live[next], joined_objects_);
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
  return state.bound(path);
}

/// Waiting for the object may end the work: it is known to on some path, or names alone cannot
/// tell.
bool Flow::may_be_on(const State& state, const Work& work, int object) {
  if (object == kNull) return false;
  if (object == kNoObject || work.maybe.empty() || work.maybe.contains(kNoObject)) return true;
  const auto is_first = [](int token) { return token < kNoObject && token != kNull; };
  for (const int name : state.names_of(object)) {
    if (name == kNoObject || work.maybe.contains(name)) return true;
    if (!is_first(name)) continue;
    for (const int token : work.maybe) {
      if (is_first(token) && graph_.paths.overlap(-token - 2, -name - 2)) return true;
    }
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
  for (auto& [name, members] : state.joined) {
    if (members.contains(old)) members.insert(kNoObject);
    members.erase(old);
    if (members.contains(fresh)) members.insert(old);
    members.erase(fresh);
  }
  for (auto& [name, open] : state.pending) {
    if (open.queue == old) open.queue = kNoObject;
    if (open.queue == fresh) open.queue = old;
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
    const IntSet names = state.names_of(target);
    for (const int name : names) state.pending[name].encodes.insert(event);
    if (!names.contains(kNoObject)) return;
  }
  for (auto& [object, pending] : state.pending) pending.encodes.insert(event);
  state.pending[kNoObject].encodes.insert(event);
}

void Flow::commit(int event, State& state) {
  const int target = object(state, graph_.events[event].target);
  Work work;
  const IntSet names = state.names_of(target);
  work.wild = *names.begin() < 0;
  if (names.contains(kNoObject)) {
    for (auto& [object, pending] : state.pending) work.encodes.unite(pending.encodes);
    work.maybe_waited = true;
    return launch(event, state, work, kNoObject);
  }
  for (const int name : names) {
    const auto open = state.pending.find(name);
    if (open != state.pending.end()) work.encodes.unite(open->second.encodes);
  }
  Pending& pending = state.pending[target];
  pending.committed = true;
  work.unretained = pending.unretained;
  cover(state, work, target);
  const int queue = pending.queue;
  pending.encodes.clear();
  for (auto& [key, earlier] : state.work) {
    if (may_be_on(state, earlier, queue)) earlier.maybe.insert(target);
    if (queue != kNoObject && earlier.tokens.contains(queue)) cover(state, earlier, target);
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
    if (before && queue != kNoObject) cover(state, earlier, queue);
  }
  launch(event, state, work, queue);
}

void Flow::launch(int event, State& state, Work work, int queue) {
  if (queue != kNoObject) cover(state, work, queue);
  check_later_work(event, work, queue, state);
  state.add_work({event, kNotRemoved}, work);
  state.ended.erase(event);
  state.ended_if_any.erase(event);
}

void Flow::record(const FlatEvent& event, State& state) {
  const int marker = object(state, event.target);
  const int queue = object(state, event.source);
  if (marker == kNoObject) return;
  state.pending[marker].committed = true;
  const IntSet names = state.names_of(marker);
  for (auto& [key, work] : state.work) {
    for (const int name : names) work.tokens.erase(name);
    work.maybe.erase(marker);
    if (may_be_on(state, work, queue)) work.maybe.insert(marker);
    if (queue != kNoObject && work.tokens.contains(queue)) cover(state, work, marker);
  }
}

void Flow::order(const FlatEvent& event, State& state) {
  const int marker = object(state, event.source);
  const int queue = object(state, event.target);
  if (marker == kNoObject || queue == kNoObject) return;
  for (auto& [key, work] : state.work) {
    if (may_be_on(state, work, marker)) work.maybe.insert(queue);
    if (work.tokens.contains(marker)) cover(state, work, queue);
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
    const bool perhaps = surely || may_be_on(state, work, target);
    if (perhaps) {
      ended_any = ended_any || surely;
      if (reporting_) result_.ended[wait_index].insert(key.first);
      if (!gone && surely) {
        state.ended.insert(key.first);
        if (flat.origin->traits.guarded) state.ended_if_any.insert(key.first);
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

FlowResult run_flow(FlatGraph& graph, const FlowQuery& query) { return Flow(graph, query).run(); }

}  // namespace cajal::sync
