// The state of the data flow at one place: objects, recorded work, work in flight.
#pragma once

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

namespace cajal::sync {

/// A small sorted set.
class IntSet {
 public:
  bool contains(int value) const {
    return std::binary_search(values_.begin(), values_.end(), value);
  }
  void insert(int value) {
    const auto at = std::lower_bound(values_.begin(), values_.end(), value);
    if (at == values_.end() || *at != value) values_.insert(at, value);
  }
  void erase(int value) {
    const auto at = std::lower_bound(values_.begin(), values_.end(), value);
    if (at != values_.end() && *at == value) values_.erase(at);
  }
  void unite(const IntSet& other) {
    for (const int value : other.values_) insert(value);
  }
  void intersect(const IntSet& other) {
    std::erase_if(values_, [&](int value) { return !other.contains(value); });
  }
  void clear() { values_.clear(); }
  bool empty() const { return values_.empty(); }
  auto begin() const { return values_.begin(); }
  auto end() const { return values_.end(); }
  bool operator==(const IntSet&) const = default;

 private:
  std::vector<int> values_;
};

/// An object that is waited for: a command buffer, queue or event, by where it was made.
inline constexpr int kNoObject = -1;
inline constexpr int kNull = -1'000'000'000;  ///< Known to be nothing: waiting for it ends nothing.

/// The object that a path names where nothing in view has given it one.
inline int first_object(int path) { return -(path + 2); }

/// The object that an event makes, and the one that it made the time before.
inline int made_object(int event) { return 2 * event; }
inline int earlier_object(int object) { return object + 1; }

/// The object that a path names behind a join, whichever way control came.
inline constexpr int kJoined = 1'000'000'000;

/// One joined object for each path and block.
class JoinedObjects {
 public:
  int of(int block, int path) {
    return kJoined + ids_.try_emplace({block, path}, static_cast<int>(ids_.size())).first->second;
  }

 private:
  std::map<std::pair<int, int>, int> ids_;
};

struct Pending {
  int queue = kNoObject;
  IntSet encodes;
  bool committed = false;  ///< On every path.
  bool unretained = false;
  bool operator==(const Pending&) const = default;
};

/// Submissions of one site that may be in flight.
struct Work {
  IntSet tokens;              ///< Waiting for any of these ends it, on every path.
  IntSet maybe;               ///< Waiting for any of these may end it; holds all of `tokens`.
  IntSet encodes;             ///< Flat events that gave it its accesses.
  bool wild = false;          ///< Parts of it were recorded out of sight.
  bool maybe_waited = false;  ///< Something that cannot be seen may have ended it.
  bool partial = false;       ///< Some path has ended it.
  bool unretained = false;
  bool blocking = false;
  bool legacy = false;
  bool operator==(const Work&) const = default;
};

struct State {
  bool reached = false;
  std::map<int, int>
      bindings;  ///< Path id to object; a path that is absent names its first object.
  std::map<int, Pending> pending;
  std::map<std::pair<int, int>, Work> work;  ///< (site, removed wait that let it through or -1).
  IntSet ended;                              ///< Sites that some path has waited for.
  IntSet ended_if_any;  ///< Of them those whose wait the program skips where nothing is in flight.
  std::map<int, IntSet> joined;  ///< What a joined object may be; kNoObject for anything.
  bool operator==(const State&) const = default;

  /// Adds what another path brings to the same block, where `live` (sorted) are the paths that are
  /// still asked for their objects.
  void join(const State& other, int block, const std::vector<int>& live, JoinedObjects& names);
  void add_work(std::pair<int, int> key, const Work& work);

  int bound(int path) const;
  /// The object itself and every other name that it may go by.
  IntSet names_of(int object) const;
  /// Takes the object out of everything, for there will be another in its place.
  void drop_joined(int object);

 private:
  std::vector<int> differing_paths(const State& other, const std::vector<int>& live) const;
  void join_bindings(const State& other);
  void name_joined(int path, int object);
};

}  // namespace cajal::sync
