#include "sync/flatten.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>
#include <tuple>

#include "sync/graph.h"
#include "sync/liveness.h"

namespace cajal::sync {
namespace {

constexpr std::size_t kMostEvents = 60'000;
constexpr std::size_t kDeepestCalls = 24;

struct Frame {
  int number = 0;
  int function = -1;
  const Frame* caller = nullptr;
  std::vector<Path> arguments;
  Path self;
  Path result;
};

class Flattener {
 public:
  Flattener(const Program& program, const std::vector<bool>& silent,
            const std::vector<AliasFact>& facts)
      : program_(program),
        silent_(silent),
        facts_(facts),
        host_only_(program.functions.size(), -1) {
    graph_.own.reserve(kMostEvents + 1);
  }

  FlatGraph run(int root) {
    graph_.root = root;
    graph_.untracked = program_.untracked;
    graph_.starts_program = program_.functions[root].name == "main";
    Frame frame;
    frame.function = root;
    const auto [entry, exit] = place(frame);
    graph_.entry = entry;
    graph_.exit = exit;
    apply_facts();
    join_chains();
    list_frames();
    graph_.depths = loop_depths(graph_);
    graph_.live = live_objects(graph_);
    return std::move(graph_);
  }

 private:
  Path resolve(const Path& path, const Frame& frame) const;
  int intern(const Path& path, const Frame& frame) {
    return path.empty() ? -1 : graph_.paths.intern(resolve(path, frame));
  }
  int new_block() {
    graph_.blocks.emplace_back();
    return static_cast<int>(graph_.blocks.size()) - 1;
  }
  std::pair<int, int> place(const Frame& frame);
  int place_event(const Event& event, const Frame& frame, int block);
  int place_call(const Event& event, const Frame& frame, int block);
  void place_unknown(const Event& call, const Frame& frame, int block, const std::string& why);
  void place_leave(const Frame& frame, int block);
  void append(const Event& event, const Frame& frame, int block);
  bool host_only(int function);
  void gather(const Frame& frame, int block, std::set<std::tuple<int, bool>>& seen);
  Frame enter(const Event& call, const Frame& frame);
  void apply_facts();
  void join_chains();
  void list_frames();

  const Program& program_;
  const std::vector<bool>& silent_;
  const std::vector<AliasFact>& facts_;
  std::vector<int> host_only_;  // -1 not known yet, 2 being found out.
  FlatGraph graph_;
  int frames_ = 0;
};

Path extended(const Path& base, const Path& path) {
  Path out = base;
  for (const std::string& field : path.fields) out = out.field(field);
  if (!path.fields.empty()) {
    out.handle = path.handle;
    out.dies = path.dies;
  }
  return out;
}

/// In a closure that has left its function: what it carries goes by "^name".
Path captured(const Path& path, const Frame& frame) {
  std::string name = path.name.substr(0, path.name.find('@'));
  if (path.root == Root::self) name = "this";
  return extended(frame.self.field("^" + name), path);
}

Path Flattener::resolve(const Path& path, const Frame& here) const {
  const Frame* home = &here;
  if (path.owner >= 0) {
    while (home != nullptr && home->function != path.owner) home = home->caller;
    if (home == nullptr && !here.self.empty()) return captured(path, here);
    if (home == nullptr) home = &here;
  }
  const Frame& frame = *home;
  if (frame.number == 0) return path;
  const std::string suffix = fmt::format("#{}", frame.number);
  Path out = path;
  switch (path.root) {
    case Root::param: {
      const auto index = static_cast<std::size_t>(path.index);
      if (index < frame.arguments.size() && !frame.arguments[index].empty()) {
        return extended(frame.arguments[index], path);
      }
      out.root = Root::foreign;
      out.name = path.name + suffix;
      return out;
    }
    case Root::self:
      if (!frame.self.empty()) return extended(frame.self, path);
      out.name += suffix;
      return out;
    case Root::result:
      return extended(frame.result, path);
    case Root::local:
    case Root::foreign:
      out.name += suffix;
      return out;
    case Root::global:
      break;
  }
  return out;
}

void Flattener::append(const Event& event, const Frame& frame, int block) {
  if (event.op == Op::alias) {
    const int first = intern(event.target, frame);
    const int second = intern(event.source, frame);
    if (first >= 0 && second >= 0) graph_.paths.unite(first, second);
    return;
  }
  FlatEvent flat;
  flat.origin = &event;
  flat.op = event.op;
  flat.function = frame.function;
  flat.target = intern(event.target, frame);
  flat.source = intern(event.source, frame);
  flat.frame = event.op == Op::leave ? event.frame : frame.number;
  for (const Access& access : event.accesses) {
    const int path = intern(access.path, frame);
    if (path < 0) continue;
    flat.accesses.push_back({path, access.write, access.handler});
    if (event.op == Op::unknown) graph_.paths.hand_out(path);
  }
  graph_.blocks[block].events.push_back(static_cast<int>(graph_.events.size()));
  graph_.events.push_back(std::move(flat));
}

void Flattener::place_unknown(const Event& call, const Frame& frame, int block,
                              const std::string& why) {
  if (graph_.own.size() >= kMostEvents) {
    graph_.complete = false;
    return;
  }
  Event event;
  event.op = Op::unknown;
  event.line = call.line;
  event.traits.touches_all = true;
  for (const Path& argument : call.arguments) event.accesses.push_back({argument, true, false});
  if (!call.target.empty()) event.accesses.push_back({call.target, true, false});
  event.text = fmt::format("calls {}, {}", program_.functions[call.callee].name, why);
  graph_.own.push_back(std::move(event));
  append(graph_.own.back(), frame, block);
}

void Flattener::place_leave(const Frame& frame, int block) {
  if (frame.number == 0 || graph_.own.size() >= kMostEvents) return;
  Event event;
  event.op = Op::leave;
  event.frame = frame.number;
  event.line = program_.functions[frame.function].end_line;
  event.text =
      fmt::format("`{}` returns and its variables end", program_.functions[frame.function].name);
  graph_.own.push_back(std::move(event));
  append(graph_.own.back(), frame, block);
}

/// Only reads and writes memory, itself and below: the order of its accesses does not matter.
bool Flattener::host_only(int function) {
  int& known = host_only_[function];
  if (known == 2) return false;
  if (known >= 0) return known == 1;
  known = 2;
  bool only = program_.functions[function].opaque.empty();
  for (const Block& block : program_.functions[function].blocks) {
    for (const Event& event : block.events) {
      if (!only) break;
      if (event.op == Op::call) {
        only = silent_[event.callee] || host_only(event.callee);
      } else {
        only = event.op == Op::host || event.op == Op::alias || event.op == Op::leave;
      }
    }
  }
  host_only_[function] = only ? 1 : 0;
  return only;
}

Frame Flattener::enter(const Event& call, const Frame& frame) {
  Frame inner;
  inner.number = ++frames_;
  inner.function = call.callee;
  inner.caller = &frame;
  for (const Path& argument : call.arguments) {
    inner.arguments.push_back(argument.empty() ? argument : resolve(argument, frame));
  }
  if (!call.source.empty()) inner.self = resolve(call.source, frame);
  if (call.target.empty()) {
    inner.result.root = Root::local;
    inner.result.name = fmt::format("result#{}", inner.number);
  } else {
    inner.result = resolve(call.target, frame);
  }
  return inner;
}

void Flattener::gather(const Frame& frame, int block, std::set<std::tuple<int, bool>>& seen) {
  for (const Block& source : program_.functions[frame.function].blocks) {
    for (const Event& event : source.events) {
      if (event.op == Op::call) {
        if (silent_[event.callee]) continue;
        gather(enter(event, frame), block, seen);
      } else if (event.op == Op::alias) {
        append(event, frame, block);
      } else {
        bool fresh = event.traits.managed;
        for (const Access& access : event.accesses) {
          const int path = intern(access.path, frame);
          fresh = (path >= 0 && seen.insert({path, access.write}).second) || fresh;
        }
        if (fresh) append(event, frame, block);
      }
    }
  }
}

int Flattener::place_call(const Event& event, const Frame& frame, int block) {
  if (silent_[event.callee]) return block;
  const Function& callee = program_.functions[event.callee];
  std::size_t depth = 0;
  for (const Frame* above = &frame; above != nullptr; above = above->caller, ++depth) {
    if (above->function == event.callee) {
      place_unknown(event, frame, block, "which calls itself");
      return block;
    }
  }
  if (!callee.opaque.empty()) {
    place_unknown(event, frame, block, "which cannot be followed: " + callee.opaque);
    return block;
  }
  if (depth > kDeepestCalls || graph_.events.size() > kMostEvents) {
    place_unknown(event, frame, block, "beyond the depth that is followed");
    return block;
  }
  const Frame inner = enter(event, frame);
  if (host_only(event.callee)) {
    std::set<std::tuple<int, bool>> seen;
    gather(inner, block, seen);
    return block;
  }
  const auto [entry, exit] = place(inner);
  graph_.blocks[block].next.push_back(entry);
  const int after = new_block();
  graph_.blocks[exit].next.push_back(after);
  place_leave(inner, after);
  return after;
}

int Flattener::place_event(const Event& event, const Frame& frame, int block) {
  if (event.op == Op::call) return place_call(event, frame, block);
  append(event, frame, block);
  return block;
}

/// "self.data came from self.buffer" holds for every object that has both fields, whoever said so.
void Flattener::apply_facts() {
  for (const AliasFact& fact : facts_) {
    if (fact.first.empty()) {
      const int first = graph_.paths.intern(fact.global);
      graph_.paths.unite(first, graph_.paths.intern(fact.other));
      continue;
    }
    const int count = graph_.paths.size();
    for (int id = 0; id < count; ++id) {
      const Path path = graph_.paths.path(id);
      for (std::size_t i = 0; i < path.fields.size(); ++i) {
        if (path.fields[i] != fact.first) continue;
        Path one = path;
        one.fields.resize(i + 1);
        Path other = one;
        if (fact.global.empty()) {
          other.fields[i] = fact.second;
        } else {
          other = fact.global;
        }
        const int first = graph_.paths.intern(one);
        graph_.paths.unite(first, graph_.paths.intern(other));
      }
    }
  }
}

/// A block that alone follows another becomes part of it: calls in line leave many such.
void Flattener::join_chains() {
  std::vector<int> entries(graph_.blocks.size());
  for (const FlatBlock& block : graph_.blocks) {
    for (const int next : block.next) ++entries[next];
  }
  ++entries[graph_.entry];
  for (std::size_t i = 0; i < graph_.blocks.size(); ++i) {
    FlatBlock& block = graph_.blocks[i];
    while (entries[i] > 0 && block.next.size() == 1) {
      const int next = block.next.front();
      if (entries[next] != 1 || next == static_cast<int>(i)) break;
      FlatBlock& joined = graph_.blocks[next];
      block.events.insert(block.events.end(), joined.events.begin(), joined.events.end());
      block.next = std::move(joined.next);
      joined = {};
      entries[next] = 0;
      if (next == graph_.exit) graph_.exit = static_cast<int>(i);
    }
  }
}

void Flattener::list_frames() {
  for (int id = 0; id < graph_.paths.size(); ++id) {
    const Path& path = graph_.paths.path(id);
    const std::size_t mark = path.name.rfind('#');
    if (path.root != Root::local || mark == std::string::npos) continue;
    graph_.frames[std::stoi(path.name.substr(mark + 1))].paths.push_back(id);
  }
  for (std::size_t i = 0; i < graph_.events.size(); ++i) {
    const FlatEvent& event = graph_.events[i];
    if (event.op == Op::make) graph_.frames[event.frame].makes.push_back(static_cast<int>(i));
  }
}

std::pair<int, int> Flattener::place(const Frame& frame) {
  const Function& function = program_.functions[frame.function];
  std::vector<int> first(function.blocks.size());
  for (int& block : first) block = new_block();
  for (std::size_t i = 0; i < function.blocks.size(); ++i) {
    int block = first[i];
    for (const Event& event : function.blocks[i].events) block = place_event(event, frame, block);
    for (const int next : function.blocks[i].next) graph_.blocks[block].next.push_back(first[next]);
  }
  const int exit = new_block();
  // The exit block itself may have been split by calls of destructors: what has no successor ends.
  graph_.blocks[first[function.exit]].next.push_back(exit);
  return {first[function.entry], exit};
}

}  // namespace

std::vector<bool> find_silent(const Program& program) {
  std::vector<bool> silent(program.functions.size(), true);
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t i = 0; i < program.functions.size(); ++i) {
      if (!silent[i]) continue;
      const Function& function = program.functions[i];
      bool still = function.opaque.empty();
      for (const Block& block : function.blocks) {
        still = still && std::all_of(block.events.begin(), block.events.end(), [&](const Event& e) {
                  return e.op == Op::call && silent[e.callee];
                });
      }
      if (!still) {
        silent[i] = false;
        changed = true;
      }
    }
  }
  return silent;
}

std::vector<AliasFact> find_alias_facts(const Program& program) {
  std::vector<AliasFact> facts;
  for (const Function& function : program.functions) {
    PathTable table;
    for (const Block& block : function.blocks) {
      for (const Event& event : block.events) {
        const bool same = event.op == Op::alias || event.op == Op::copy;
        if (!same || event.target.empty() || event.source.empty()) continue;
        const int first = table.intern(event.target);
        table.unite(first, table.intern(event.source));
      }
    }
    for (int a = 0; a < table.size(); ++a) {
      for (int b = 0; b < table.size(); ++b) {
        if (a == b || !table.same(a, b)) continue;
        const Path& one = table.path(a);
        const Path& other = table.path(b);
        const bool globals = one.root == Root::global && other.root == Root::global;
        if (globals && a < b && one.fields.empty()) facts.push_back({"", "", one, other});
        if (one.fields.empty()) continue;
        if (other.root == Root::global && one.root != Root::global) {
          facts.push_back({one.fields.back(), "", other, {}});
        } else if (!other.fields.empty() && one.root == other.root && one.name == other.name &&
                   one.fields.back() != other.fields.back() && a < b) {
          facts.push_back({one.fields.back(), other.fields.back(), {}, {}});
          facts.push_back({other.fields.back(), one.fields.back(), {}, {}});
        }
      }
    }
  }
  return facts;
}

FlatGraph flatten(const Program& program, int root, const std::vector<bool>& silent,
                  const std::vector<AliasFact>& facts) {
  return Flattener(program, silent, facts).run(root);
}

}  // namespace cajal::sync
