#include "sync/graph.h"

#include <algorithm>
#include <utility>

namespace cajal::sync {

// Without recursion on the graph's depth.
std::vector<int> components(const FlatGraph& graph) {
  const int n = static_cast<int>(graph.blocks.size());
  std::vector<int> component(n, -1);
  std::vector<int> index(n, -1);
  std::vector<int> low(n, 0);
  std::vector<int> stack;
  std::vector<bool> on_stack(n);
  std::vector<std::pair<int, std::size_t>> calls;
  int next_index = 0;
  int next_component = 0;
  const auto open = [&](int node) {
    index[node] = low[node] = next_index++;
    stack.push_back(node);
    on_stack[node] = true;
    calls.emplace_back(node, 0);
  };
  open(graph.entry);
  while (!calls.empty()) {
    auto& [node, edge] = calls.back();
    const auto& next = graph.blocks[node].next;
    if (edge < next.size()) {
      const int to = next[edge++];
      if (index[to] < 0) {
        open(to);
      } else if (on_stack[to]) {
        low[node] = std::min(low[node], index[to]);
      }
      continue;
    }
    const int done = node;
    calls.pop_back();
    if (!calls.empty()) low[calls.back().first] = std::min(low[calls.back().first], low[done]);
    if (low[done] != index[done]) continue;
    for (int member = -1; member != done;) {
      member = stack.back();
      stack.pop_back();
      on_stack[member] = false;
      component[member] = next_component;
    }
    ++next_component;
  }
  return component;
}

std::vector<int> reverse_postorder(const FlatGraph& graph) {
  std::vector<int> order;
  std::vector<bool> seen(graph.blocks.size());
  std::vector<std::pair<int, std::size_t>> path{{graph.entry, 0}};
  seen[graph.entry] = true;
  while (!path.empty()) {
    auto& [block, edge] = path.back();
    const auto& next = graph.blocks[block].next;
    if (edge == next.size()) {
      order.push_back(block);
      path.pop_back();
      continue;
    }
    const int to = next[edge++];
    if (seen[to]) continue;
    seen[to] = true;
    path.emplace_back(to, 0);
  }
  std::reverse(order.begin(), order.end());
  return order;
}

}  // namespace cajal::sync
