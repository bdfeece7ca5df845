#include "sync/alias.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace cajal::sync {
namespace {

std::string root_key(const Path& path) {
  return fmt::format("{}:{}:{}", static_cast<int>(path.root),
                     path.root == Root::param ? path.index : 0,
                     path.root == Root::param ? "" : path.name);
}

std::string key_of(const Path& path) {
  std::string key = root_key(path);
  for (const std::string& field : path.fields) key += "\x1f" + field;
  return key;
}

bool is_prefix(const std::vector<std::string>& shorter, const std::vector<std::string>& longer) {
  if (shorter.size() > longer.size()) return false;
  for (std::size_t i = 0; i < shorter.size(); ++i) {
    const bool wild = (shorter[i] == "[*]" && longer[i].starts_with('[')) ||
                      (longer[i] == "[*]" && shorter[i].starts_with('['));
    if (!wild && shorter[i] != longer[i]) return false;
  }
  return true;
}

bool same_fields(const Path& first, const Path& second) {
  return is_prefix(first.fields, second.fields) || is_prefix(second.fields, first.fields);
}

std::string class_of(const Path& path) { return path.name.substr(0, path.name.find('#')); }

bool has_elements(const std::map<std::string, int>& children) {
  const auto at = children.lower_bound("[");
  return at != children.end() && at->first.starts_with('[');
}

bool leaves_sight(const Path& path) { return path.root != Root::local; }

/// What names alone cannot tell apart.
bool roots_may_alias(const Path& first, const Path& second) {
  // A handle from out of sight is no other kind of memory; a pointer may have come from a handle.
  if (first.root == Root::foreign) return leaves_sight(second) && (!first.handle || second.handle);
  if (second.root == Root::foreign) return leaves_sight(first) && (!second.handle || first.handle);
  if (first.root == Root::param && second.root == Root::param) {
    return first.index != second.index && first.type == second.type && same_fields(first, second);
  }
  if (first.root == Root::self && second.root == Root::self) {
    return class_of(first) == class_of(second) && same_fields(first, second);
  }
  const auto outside = [](const Path& path) {
    return path.root == Root::self || path.root == Root::global;
  };
  if (first.root == Root::param) return first.handle && second.handle && outside(second);
  if (second.root == Root::param) return first.handle && second.handle && outside(first);
  return false;
}

}  // namespace

int PathTable::intern(const Path& path) {
  const auto [at, inserted] = ids_.try_emplace(key_of(path), size());
  if (inserted) {
    paths_.push_back(path);
    const int node = node_of(path);
    node_of_path_.push_back(node);
    nodes_[node].members.push_back(at->second);
    forget();
  }
  return at->second;
}

int PathTable::find(int node) {
  while (nodes_[node].parent >= 0) node = nodes_[node].parent;
  return node;
}

int PathTable::child(int node, const std::string& field) {
  node = find(node);
  const bool element = field.starts_with('[');
  if (!element && has_elements(nodes_[node].children)) {
    const int any = child(node, "[*]");
    if (any != find(node)) return child(any, field);
    node = find(node);
  }
  if (element) {
    // An unknown index may be any known one, so all of them become one node.
    const auto any = nodes_[node].children.find("[*]");
    if (any != nodes_[node].children.end()) return find(any->second);
  }
  const auto known = nodes_[node].children.find(field);
  if (known != nodes_[node].children.end()) return find(known->second);
  const int fresh = static_cast<int>(nodes_.size());
  nodes_.emplace_back();
  const auto siblings = nodes_[node].children;
  nodes_[node].children[field] = fresh;
  if (field == "[*]") {
    for (const auto& [name, sibling] : siblings) {
      if (name.starts_with('[')) merge(sibling, fresh);
    }
  }
  if (element) fold(node);
  return find(fresh);
}

/// p->x is p[0].x, and what a loop over an array calls n.x is the array's [*].x: fields beside
/// elements are the elements' fields.
void PathTable::fold(int node) {
  node = find(node);
  if (!has_elements(nodes_[node].children)) return;
  std::vector<std::pair<std::string, int>> fields;
  for (const auto& [field, below] : nodes_[node].children) {
    if (!field.starts_with('[')) fields.emplace_back(field, below);
  }
  if (fields.empty()) return;
  const int any = child(node, "[*]");
  if (any == find(node)) return;
  for (const auto& [field, below] : fields) nodes_[find(node)].children.erase(field);
  for (const auto& [field, below] : fields) merge(child(any, field), below);
}

void PathTable::merge(int first, int second) {
  first = find(first);
  second = find(second);
  if (first == second) return;
  nodes_[second].parent = first;
  nodes_[first].handed_out = nodes_[first].handed_out || nodes_[second].handed_out;
  auto& members = nodes_[first].members;
  members.insert(members.end(), nodes_[second].members.begin(), nodes_[second].members.end());
  const auto children = nodes_[second].children;
  nodes_[second].children.clear();
  for (const auto& [field, node] : children) {
    const auto mine = nodes_[find(first)].children.find(field);
    if (mine == nodes_[find(first)].children.end()) {
      nodes_[find(first)].children[field] = node;
    } else {
      merge(mine->second, node);
    }
  }
  const auto all = nodes_[find(first)].children;
  const auto any = all.find("[*]");
  if (any == all.end()) return fold(first);
  for (const auto& [field, node] : all) {
    if (field.starts_with('[')) merge(any->second, node);
  }
  fold(first);
}

int PathTable::node_of(const Path& path) {
  const auto [at, inserted] = roots_.try_emplace(root_key(path), static_cast<int>(nodes_.size()));
  if (inserted) nodes_.emplace_back();
  int node = find(at->second);
  for (const std::string& field : path.fields) node = child(node, field);
  return node;
}

void PathTable::unite(int first, int second) {
  merge(node_of_path_[first], node_of_path_[second]);
  forget();
}

void PathTable::forget() {
  overlaps_.clear();
  ancestors_.clear();
  holders_.clear();
  escapes_.clear();
  below_.clear();
}

/// The node itself and everything that it lies in, sorted.
const std::vector<int>& PathTable::ancestors(int node) {
  node = find(node);
  const auto known = ancestors_.find(node);
  if (known != ancestors_.end()) return known->second;
  if (holders_.empty()) {
    holders_.resize(nodes_.size());
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      if (nodes_[i].parent >= 0) continue;
      for (const auto& [field, child] : nodes_[i].children) {
        holders_[find(child)].push_back(static_cast<int>(i));
      }
    }
  }
  std::set<int> seen{node};
  std::vector<int> ready{node};
  while (!ready.empty()) {
    const int at = ready.back();
    ready.pop_back();
    for (const int holder : holders_[at]) {
      if (seen.insert(holder).second) ready.push_back(holder);
    }
  }
  return ancestors_[node] = {seen.begin(), seen.end()};
}

bool PathTable::compute_overlap(int first, int second) {
  const int a = find(node_of_path_[first]);
  const int b = find(node_of_path_[second]);
  if (a == b) return true;
  const auto contains = [](const std::vector<int>& nodes, int node) {
    return std::binary_search(nodes.begin(), nodes.end(), node);
  };
  if (contains(ancestors(a), b) || contains(ancestors(b), a)) return true;
  for (const int x : nodes_[a].members) {
    for (const int y : nodes_[b].members) {
      if (roots_may_alias(paths_[x], paths_[y])) return true;
    }
  }
  return false;
}

bool PathTable::overlap(int first, int second) {
  if (first > second) std::swap(first, second);
  const auto key = (static_cast<std::uint64_t>(first) << 32U) | static_cast<std::uint32_t>(second);
  const auto known = overlaps_.find(key);
  if (known != overlaps_.end()) return known->second;
  return overlaps_[key] = compute_overlap(first, second);
}

void PathTable::hand_out(int id) {
  nodes_[find(node_of_path_[id])].handed_out = true;
  escapes_.clear();
}

bool PathTable::escapes(int id) {
  const auto known = escapes_.find(id);
  if (known != escapes_.end()) return known->second;
  const auto& nodes = ancestors(node_of_path_[id]);
  return escapes_[id] = std::any_of(nodes.begin(), nodes.end(), [&](int node) {
           const auto& members = nodes_[node].members;
           return nodes_[node].handed_out ||
                  std::any_of(members.begin(), members.end(),
                              [&](int member) { return leaves_sight(paths_[member]); });
         });
}

const std::vector<int>& PathTable::below(int id) {
  if (below_.empty()) {
    below_.resize(paths_.size());
    for (int part = 0; part < size(); ++part) {
      Path whole = paths_[part];
      while (!whole.fields.empty()) {
        whole.fields.pop_back();
        const auto at = ids_.find(key_of(whole));
        if (at != ids_.end()) below_[at->second].push_back(part);
      }
    }
  }
  return below_[id];
}

}  // namespace cajal::sync
