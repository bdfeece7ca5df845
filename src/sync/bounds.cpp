#include <algorithm>
#include <map>

#include "sync/flow.h"
#include "sync/graph.h"

namespace cajal::sync {
namespace {

class Loops {
 public:
  explicit Loops(const FlatGraph& graph) : graph_(graph), component_(components(graph)) {}

  int broken_by(const std::set<int>& removed) {
    for (std::size_t block = 0; block < graph_.blocks.size(); ++block) {
      for (const int next : graph_.blocks[block].next) {
        if (!heads_loop(static_cast<int>(block), next)) continue;
        // A wait under a condition bounds a loop as well, only less tightly.
        const bool opened = !free_round(next, {}) && free_round(next, removed);
        const bool emptied = count_waits(next, {}) > 0 && count_waits(next, removed) == 0;
        if (opened || (emptied && free_round(next, removed))) {
          return rarest_removed(component_[next], removed);
        }
      }
    }
    return -1;
  }

 private:
  /// `next` is where an outermost loop is entered from outside it.
  bool heads_loop(int block, int next) const {
    if (component_[block] < 0 || component_[block] == component_[next]) return false;
    return std::any_of(graph_.blocks.begin(), graph_.blocks.end(), [&](const FlatBlock& from) {
      const auto at = static_cast<std::size_t>(&from - graph_.blocks.data());
      return component_[at] == component_[next] &&
             std::find(from.next.begin(), from.next.end(), next) != from.next.end();
    });
  }

  bool waits(int block, const std::set<int>& removed) const {
    return std::any_of(graph_.blocks[block].events.begin(), graph_.blocks[block].events.end(),
                       [&](int event) {
                         const FlatEvent& flat = graph_.events[event];
                         return flat.op == Op::wait && !removed.contains(flat.origin->wait);
                       });
  }

  int count_waits(int head, const std::set<int>& removed) const {
    int count = 0;
    for (std::size_t block = 0; block < graph_.blocks.size(); ++block) {
      if (component_[block] != component_[head]) continue;
      count += waits(static_cast<int>(block), removed);
    }
    return count;
  }

  bool submits(int block) const {
    return std::any_of(graph_.blocks[block].events.begin(), graph_.blocks[block].events.end(),
                       [&](int event) {
                         const Op op = graph_.events[event].op;
                         return op == Op::commit || op == Op::submit;
                       });
  }

  /// Blocks of the loop that can be reached from `from` without a wait that stays.
  std::vector<bool> reach(int from, const std::set<int>& removed) const {
    std::vector<bool> seen(graph_.blocks.size());
    std::vector<int> ready{from};
    bool first = true;
    while (!ready.empty()) {
      const int block = ready.back();
      ready.pop_back();
      if (waits(block, removed)) continue;
      if (!first) seen[block] = true;
      first = false;
      for (const int next : graph_.blocks[block].next) {
        if (component_[next] == component_[from] && !seen[next]) ready.push_back(next);
      }
    }
    return seen;
  }

  /// The loop can go round through `head`, submitting, without a wait.
  bool free_round(int head, const std::set<int>& removed) const {
    const std::vector<bool> ahead = reach(head, removed);
    if (!ahead[head]) return false;
    for (std::size_t block = 0; block < graph_.blocks.size(); ++block) {
      if (!ahead[block] || !submits(static_cast<int>(block))) continue;
      if (static_cast<int>(block) == head || reach(static_cast<int>(block), removed)[head]) {
        return true;
      }
    }
    return false;
  }

  /// Of the waits in the loop the one that runs least often, the last of several.
  int rarest_removed(int component, const std::set<int>& removed) const {
    std::map<int, double> rounds;
    for (std::size_t block = 0; block < graph_.blocks.size(); ++block) {
      if (component_[block] != component) continue;
      for (const int event : graph_.blocks[block].events) {
        const FlatEvent& flat = graph_.events[event];
        if (flat.op != Op::wait || !removed.contains(flat.origin->wait)) continue;
        rounds[flat.origin->wait] += rounds_at(graph_.depths[block]);
      }
    }
    int best = -1;
    for (const auto& [wait, times] : rounds) {
      if (best < 0 || times <= rounds[best]) best = wait;
    }
    return best;
  }

  const FlatGraph& graph_;
  std::vector<int> component_;
};

bool is_own_wait(const FlatEvent& event) { return event.op == Op::wait && event.origin->wait >= 0; }

}  // namespace

Round busiest_round(const FlatGraph& graph, const std::set<int>& removed) {
  const std::vector<int> component = components(graph);
  std::vector<bool> loops(graph.blocks.size());
  for (std::size_t block = 0; block < graph.blocks.size(); ++block) {
    if (component[block] < 0) continue;
    for (const int next : graph.blocks[block].next) {
      if (component[next] == component[block]) loops[component[block]] = true;
    }
  }
  std::vector<Round> rounds(graph.blocks.size());
  Round whole;
  for (std::size_t block = 0; block < graph.blocks.size(); ++block) {
    if (component[block] < 0) continue;
    for (const int at : graph.blocks[block].events) {
      if (!is_own_wait(graph.events[at])) continue;
      const int stays = removed.contains(graph.events[at].origin->wait) ? 0 : 1;
      for (Round* round : {&rounds[component[block]], &whole}) {
        ++round->waits;
        round->after += stays;
      }
    }
  }
  Round busiest;
  for (std::size_t i = 0; i < rounds.size(); ++i) {
    rounds[i].loop = true;
    if (loops[i] && rounds[i].waits > busiest.waits) busiest = rounds[i];
  }
  return busiest.waits > 0 ? busiest : whole;
}

int find_unbounded(const FlatGraph& graph, const std::set<int>& removed) {
  return Loops(graph).broken_by(removed);
}

}  // namespace cajal::sync
