#include "sync/liveness.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "sync/graph.h"

namespace cajal::sync {
namespace {

class Liveness {
 public:
  explicit Liveness(FlatGraph& graph) : graph_(graph) {
    for (const FlatEvent& event : graph.events) {
      if (event.op == Op::make || event.op == Op::copy) bound_.insert(event.target);
      if (event.op == Op::wait) {
        waits_for_[{event.origin->wait, event.frame}].push_back(event.target);
      }
    }
    for (const int path : bound_) {
      if (path >= 0 && graph.paths.escapes(path)) seen_outside_.insert(path);
    }
  }

  std::vector<std::vector<int>> run() {
    std::vector<std::set<int>> in(graph_.blocks.size());
    std::vector<int> order = reverse_postorder(graph_);
    std::reverse(order.begin(), order.end());
    for (bool changed = true; changed;) {
      changed = false;
      for (const int block : order) {
        std::set<int> live = seen_outside_;
        for (const int next : graph_.blocks[block].next)
          live.insert(in[next].begin(), in[next].end());
        pass_back(block, live);
        if (live == in[block]) continue;
        in[block] = std::move(live);
        changed = true;
      }
    }
    std::vector<std::vector<int>> out;
    for (const std::set<int>& live : in) out.emplace_back(live.begin(), live.end());
    return out;
  }

 private:
  void pass_back(int block, std::set<int>& live) const {
    const std::vector<int>& events = graph_.blocks[block].events;
    for (auto at = events.rbegin(); at != events.rend(); ++at) {
      const FlatEvent& event = graph_.events[*at];
      const bool gives = event.op == Op::make || event.op == Op::copy;
      if (gives && !seen_outside_.contains(event.target)) live.erase(event.target);
      use(event.source, live);
      if (!gives) use(event.target, live);
      if (event.op == Op::unknown) {
        for (const FlatAccess& handed : event.accesses) use(handed.path, live);
      }
      const auto moved = event.op == Op::mark ? waits_for_.find({event.origin->wait, event.frame})
                                              : waits_for_.end();
      if (moved == waits_for_.end()) continue;
      for (const int target : moved->second) use(target, live);
    }
  }
  void use(int path, std::set<int>& live) const {
    if (bound_.contains(path)) live.insert(path);
  }

  FlatGraph& graph_;
  std::set<int> bound_;                                        // What something is ever put into.
  std::set<int> seen_outside_;                                 // Of them.
  std::map<std::pair<int, int>, std::vector<int>> waits_for_;  // By wait and frame.
};

}  // namespace

std::vector<std::vector<int>> live_objects(FlatGraph& graph) { return Liveness(graph).run(); }

}  // namespace cajal::sync
