#include "sync/graph.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

namespace cajal::sync {
namespace {

/// Of the blocks that `inside` allows and that can be reached from `roots` among them. Without
/// recursion on the graph's depth.
std::vector<int> components_within(const FlatGraph& graph, const std::vector<bool>& inside,
                                   const std::vector<int>& roots) {
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
  auto root = roots.begin();
  while (!calls.empty() || root != roots.end()) {
    if (calls.empty()) {
      if (index[*root] < 0) open(*root);
      ++root;
      continue;
    }
    auto& [node, edge] = calls.back();
    const auto& next = graph.blocks[node].next;
    if (edge < next.size()) {
      const int to = next[edge++];
      if (!inside[to]) continue;
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

bool goes_to(const FlatGraph& graph, int from, int to) {
  const auto& next = graph.blocks[from].next;
  return std::find(next.begin(), next.end(), to) != next.end();
}

/// The loops of a region, each as its blocks in the order of `region`.
std::vector<std::vector<int>> loops_of(const FlatGraph& graph, const std::vector<int>& region) {
  std::vector<bool> inside(graph.blocks.size());
  for (const int block : region) inside[block] = true;
  const std::vector<int> component = components_within(graph, inside, region);
  std::map<int, std::vector<int>> members;
  for (const int block : region) members[component[block]].push_back(block);
  std::vector<std::vector<int>> loops;
  for (auto& [number, blocks] : members) {
    const bool round = blocks.size() > 1 || goes_to(graph, blocks.front(), blocks.front());
    if (round) loops.push_back(std::move(blocks));
  }
  return loops;
}

}  // namespace

std::vector<int> components(const FlatGraph& graph) {
  return components_within(graph, std::vector<bool>(graph.blocks.size(), true), {graph.entry});
}

std::vector<int> loop_depths(const FlatGraph& graph) {
  std::vector<int> depths(graph.blocks.size());
  std::vector<std::vector<int>> regions{reverse_postorder(graph)};
  while (!regions.empty()) {
    const std::vector<int> region = std::move(regions.back());
    regions.pop_back();
    for (std::vector<int>& loop : loops_of(graph, region)) {
      for (const int block : loop) ++depths[block];
      loop.erase(loop.begin());  // The first in the order is where control enters.
      if (!loop.empty()) regions.push_back(std::move(loop));
    }
  }
  return depths;
}

double rounds_at(int depth) {
  constexpr double kRounds = 8.0;
  constexpr int kDeepest = 12;
  return std::pow(kRounds, std::min(depth, kDeepest));
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
