#include "sync/flow_state.h"

namespace cajal::sync {
namespace {

void join_work(Work& mine, const Work& other) {
  mine.tokens.intersect(other.tokens);
  mine.maybe.unite(other.maybe);
  mine.encodes.unite(other.encodes);
  mine.wild = mine.wild || other.wild;
  mine.maybe_waited = mine.maybe_waited || other.maybe_waited;
  mine.partial = mine.partial || other.partial;
  mine.unretained = mine.unretained || other.unretained;
  mine.blocking = mine.blocking && other.blocking;
  mine.legacy = mine.legacy && other.legacy;
}

void join_pending(Pending& mine, const Pending& other) {
  if (mine.queue != other.queue) mine.queue = kNoObject;
  mine.encodes.unite(other.encodes);
  mine.committed = mine.committed && other.committed;
  mine.unretained = mine.unretained || other.unretained;
}

}  // namespace

void State::add_work(std::pair<int, int> key, const Work& fresh) {
  const auto [at, inserted] = work.try_emplace(key, fresh);
  if (!inserted) join_work(at->second, fresh);
}

void State::join(const State& other) {
  if (!other.reached) return;
  if (!reached) {
    *this = other;
    return;
  }
  const auto bound = [](const State& state, int path) {
    const auto at = state.bindings.find(path);
    return at == state.bindings.end() ? first_object(path) : at->second;
  };
  // Where one path has set a variable to nothing, work in flight tells that the other was taken.
  for (auto& [path, object] : bindings) {
    if (object == kNull) object = bound(other, path);
  }
  for (const auto& [path, object] : other.bindings) {
    if (object == kNull) continue;
    if (!bindings.contains(path) && object != first_object(path)) bindings[path] = kNoObject;
  }
  for (auto& [path, object] : bindings) {
    const int theirs = bound(other, path);
    if (theirs != kNull && object != theirs) object = kNoObject;
  }
  for (const auto& [object, theirs] : other.pending) {
    const auto [at, inserted] = pending.try_emplace(object, theirs);
    if (!inserted) join_pending(at->second, theirs);
  }
  for (auto& [key, mine] : work) {
    if (!other.work.contains(key) && other.ended.contains(key.first)) mine.partial = true;
  }
  for (const auto& [key, theirs] : other.work) {
    const bool here = work.contains(key);
    add_work(key, theirs);
    if (!here && ended.contains(key.first)) work[key].partial = true;
  }
  ended.unite(other.ended);
}

}  // namespace cajal::sync
