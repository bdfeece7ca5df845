// One function with everything it calls in view put in place: the graph that the analysis walks.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "sync/alias.h"
#include "sync/ir.h"

namespace cajal::sync {

struct FlatAccess {
  int path = -1;
  bool write = false;
  bool handler = false;
};

struct FlatEvent {
  const Event* origin = nullptr;  ///< In the Program; outlives the graph.
  Op op = Op::host;
  int function = -1;  ///< Whose source the event stands in.
  int target = -1;    ///< Path ids; -1 for none.
  int source = -1;
  std::vector<FlatAccess> accesses;
  int frame = 0;
};

struct FlatBlock {
  std::vector<int> events;
  std::vector<int> next;
};

/// What a call that has been put in place brings with it and ends with it.
struct FlatFrame {
  std::vector<int> paths;  ///< Of its variables.
  std::vector<int> makes;  ///< Events that make objects.
};

struct FlatGraph {
  int root = -1;
  PathTable paths;
  std::vector<FlatEvent> events;
  std::vector<FlatBlock> blocks;
  std::map<int, FlatFrame> frames;
  int entry = 0;
  int exit = 0;                        ///< Where control ends, after this block's events.
  std::vector<int> depths;             ///< Of each block, how many loops it stands in.
  std::vector<std::vector<int>> live;  ///< For each block (see liveness.h).
  bool starts_program = false;         ///< Nothing ran before it.
  bool untracked = false;              ///< As in Program.
  bool complete = true;    ///< False when calls were cut off because there were too many.
  std::vector<Event> own;  ///< Events that the graph made itself; reserved, so that pointers stay.
};

/// For each function, whether anything below it concerns a device or memory that a device may
/// touch.
std::vector<bool> find_silent(const Program& program);

/// Two fields, a field and a global, or two globals that some function makes the same memory or
/// the same object.
struct AliasFact {
  std::string first;   ///< Empty for two globals.
  std::string second;  ///< Empty beside a global.
  Path global;
  Path other;
};
std::vector<AliasFact> find_alias_facts(const Program& program);

/// Inlines calls. Recursion, opaque callees and what goes beyond the size limit become unknown
/// calls.
FlatGraph flatten(const Program& program, int root, const std::vector<bool>& silent,
                  const std::vector<AliasFact>& facts);

}  // namespace cajal::sync
