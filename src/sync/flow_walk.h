// The walk that data flow makes over one graph: what is in flight, and what conflicts with it.
#pragma once

#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "sync/flow.h"
#include "sync/flow_state.h"

namespace cajal::sync {

class Flow {
 public:
  Flow(FlatGraph& graph, const FlowQuery& query)
      : graph_(graph), query_(query), outside_(paths_from_outside()) {}

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
  std::vector<int> paths_from_outside();
  void add_outside_work(State& state) const;
  State at_entry() const;
  void settle(std::vector<State>& in);
  State through(int block, State state);
  void apply(int event, State& state);
  void at_exit(const State& state);

  int object(const State& state, int path) const;
  bool may_be_on(const State& state, const Work& work, int object);
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
  JoinedObjects joined_objects_;
  std::vector<int> outside_;  // Queues and the like that code out of sight can see; -1 for all.
  FlowResult result_;
  bool reporting_ = false;
  std::set<std::tuple<int, int, int>> reported_;
};

}  // namespace cajal::sync
