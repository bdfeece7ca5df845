// What goes wrong when a wait is gone: each kind of event against the work in flight.
#include <algorithm>

#include "sync/flow_walk.h"

namespace cajal::sync {
namespace {

/// Asking `object` may tell of the work.
bool concerns(const State& state, const Work& work, int object) {
  if (object == kNoObject) return false;
  if (work.tokens.contains(object)) return true;
  const IntSet names = state.names_of(object);
  return std::any_of(names.begin(), names.end(),
                     [&](int name) { return name != object && work.maybe.contains(name); });
}

}  // namespace

/// What the wait that is gone kept apart on the device: work on another queue, and completion
/// handlers of the earlier work.
void Flow::check_later_work(int event, const Work& later, int queue, const State& state) {
  for (const auto& [key, work] : state.work) {
    if (key.second < 0) continue;
    const bool counts = key.first > kEarlierWork || query_.earlier_work;
    const bool ordered = queue != kNoObject && work.tokens.contains(queue) && !graph_.untracked;
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
    if (target != kNoObject && !concerns(state, work, target)) continue;
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
      reaches = reaches || concerns(state, work, object(state, handed.path));
    }
    if (key.second >= 0 && reaches) {
      report({Cause::unclear, key.first, event, -1, -1, key.second, false});
    }
    work.maybe_waited = work.maybe_waited || all || reaches;
  }
  if (all) add_outside_work(state);
}

/// What a function that returns, or a scope that closes, takes away from work in flight.
void Flow::leave(int event, State& state) {
  const FlatEvent& flat = graph_.events[event];
  const auto frame = graph_.frames.find(flat.frame);
  if (flat.accesses.empty() && frame == graph_.frames.end()) return;
  const auto ends = [&](int path) {
    if (flat.accesses.empty()) {
      return graph_.paths.path(path).dies &&
             std::binary_search(frame->second.paths.begin(), frame->second.paths.end(), path);
    }
    return std::any_of(flat.accesses.begin(), flat.accesses.end(), [&](const FlatAccess& ended) {
      return graph_.paths.overlap(path, ended.path);
    });
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
  if (flat.accesses.empty()) forget_frame(frame->second, state);
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

}  // namespace cajal::sync
