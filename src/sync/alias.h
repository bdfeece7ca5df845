// Which paths may name the same memory: unification with fields (Steensgaard 1996).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sync/ir.h"

namespace cajal::sync {

/// Numbers paths and merges those that the program may make the same.
class PathTable {
 public:
  int intern(const Path& path);
  const Path& path(int id) const { return paths_[id]; }
  int size() const { return static_cast<int>(paths_.size()); }

  /// From here on `first` and `second` may be the same memory, and so may their fields.
  void unite(int first, int second);

  /// True when they have been made one, themselves or as fields of something that was.
  bool same(int first, int second) {
    return find(node_of_path_[first]) == find(node_of_path_[second]);
  }

  /// True when an access to one may touch the other: the same memory, one inside the other, or two
  /// things from out of sight that nothing tells apart.
  bool overlap(int first, int second);

  /// Code out of sight is given this memory.
  void hand_out(int id);

  /// True when code out of sight can hold this memory too.
  bool escapes(int id);

  /// Paths to parts of what `id` names: "m.acts[*]" for "m.acts" and for "m".
  const std::vector<int>& below(int id);

 private:
  struct Node {
    int parent = -1;
    bool handed_out = false;
    std::map<std::string, int> children;
    std::vector<int> members;  // Path ids that resolve to this node.
  };
  int find(int node);
  int child(int node, const std::string& field);
  void merge(int first, int second);
  void fold(int node);
  int node_of(const Path& path);
  const std::vector<int>& ancestors(int node);
  bool compute_overlap(int first, int second);
  void forget();

  std::vector<Path> paths_;
  std::vector<int> node_of_path_;
  std::unordered_map<std::string, int> ids_;
  std::unordered_map<std::string, int> roots_;
  std::vector<Node> nodes_;
  // What is known until the next unite or intern.
  std::unordered_map<std::uint64_t, bool> overlaps_;
  std::unordered_map<int, std::vector<int>> ancestors_;
  std::vector<std::vector<int>> holders_;  // For each node, those that it is a child of.
  std::unordered_map<int, bool> escapes_;
  std::vector<std::vector<int>> below_;
};

}  // namespace cajal::sync
