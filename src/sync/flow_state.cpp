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

int State::bound(int path) const {
  const auto at = bindings.find(path);
  return at == bindings.end() ? first_object(path) : at->second;
}

IntSet State::names_of(int object) const {
  IntSet names;
  names.insert(object);
  const auto mine = joined.find(object);
  if (mine != joined.end()) names.unite(mine->second);
  for (const auto& [other, members] : joined) {
    if (members.contains(object) || members.contains(kNoObject)) names.insert(other);
  }
  return names;
}

void State::drop_joined(int object) {
  for (auto& [key, one] : work) {
    one.tokens.erase(object);
    one.maybe.erase(object);
  }
  for (auto& [path, bound] : bindings) {
    if (bound == object) bound = kNoObject;
  }
  for (auto& [name, open] : pending) {
    if (open.queue == object) open.queue = kNoObject;
  }
  for (auto& [name, members] : joined) {
    if (!members.contains(object)) continue;
    members.erase(object);
    members.insert(kNoObject);
  }
  joined.erase(object);
  const auto open = pending.find(object);
  if (open == pending.end()) return;
  const IntSet encodes = open->second.encodes;
  pending.erase(open);
  // Whatever still names it is taken for anything.
  if (!encodes.empty()) pending[kNoObject].encodes.unite(encodes);
}

/// Gives what the path names a second name, `object`.
void State::name_joined(int path, int object) {
  const int known = bound(path);
  for (auto& [key, one] : work) {
    if (one.tokens.contains(known)) one.tokens.insert(object);
    if (one.maybe.contains(known)) one.maybe.insert(object);
  }
  IntSet members;
  members.insert(known);
  const auto of_known = joined.find(known);
  if (of_known != joined.end()) members.unite(of_known->second);
  joined[object] = members;
  const auto open = pending.find(known);
  if (open != pending.end()) pending[object] = open->second;
  bindings[path] = object;
}

/// Paths that name one known object here and another there.
std::vector<int> State::differing_paths(const State& other, const std::vector<int>& live) const {
  const auto known = [](int object) { return object != kNoObject && object != kNull; };
  std::vector<int> paths;
  for (const int path : live) {
    const int mine = bound(path);
    const int theirs = other.bound(path);
    if (mine != theirs && known(mine) && known(theirs)) paths.push_back(path);
  }
  return paths;
}

void State::join_bindings(const State& other) {
  // Where one path has set a variable to nothing, work in flight tells that the other was taken.
  for (auto& [path, object] : bindings) {
    if (object == kNull) object = other.bound(path);
  }
  for (const auto& [path, object] : other.bindings) {
    if (object == kNull) continue;
    if (!bindings.contains(path) && object != first_object(path)) bindings[path] = kNoObject;
  }
  for (auto& [path, object] : bindings) {
    const int theirs = other.bound(path);
    if (theirs != kNull && object != theirs) object = kNoObject;
  }
}

void State::join(const State& other, int block, const std::vector<int>& live,
                 JoinedObjects& names) {
  if (!other.reached) return;
  if (!reached) {
    *this = other;
    return;
  }
  const std::vector<int> differing = differing_paths(other, live);
  if (!differing.empty()) {
    State theirs = other;
    // What the names stood for the last time that control came here is another object now.
    for (const int path : differing) {
      const int object = names.of(block, path);
      if (theirs.bound(path) != object) theirs.drop_joined(object);
    }
    for (const int path : differing_paths(theirs, live)) {
      const int object = names.of(block, path);
      if (bound(path) != object) {
        drop_joined(object);
        name_joined(path, object);
      }
      if (theirs.bound(path) != object) theirs.name_joined(path, object);
    }
    return join(theirs, block, live, names);
  }
  join_bindings(other);
  for (const auto& [object, theirs] : other.joined) joined[object].unite(theirs);
  for (const auto& [object, theirs] : other.pending) {
    const auto [at, inserted] = pending.try_emplace(object, theirs);
    if (!inserted) join_pending(at->second, theirs);
  }
  const auto skipped_in = [](const State& waited, int site, Work& one) {
    one.partial = one.partial || waited.ended.contains(site);
    one.maybe_waited = one.maybe_waited || waited.ended_if_any.contains(site);
  };
  for (auto& [key, mine] : work) {
    if (!other.work.contains(key)) skipped_in(other, key.first, mine);
  }
  for (const auto& [key, theirs] : other.work) {
    const bool here = work.contains(key);
    add_work(key, theirs);
    if (!here) skipped_in(*this, key.first, work[key]);
  }
  ended.unite(other.ended);
  ended_if_any.unite(other.ended_if_any);
}

}  // namespace cajal::sync
