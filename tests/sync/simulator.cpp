#include "sync/simulator.h"

#include <cctype>
#include <utility>

namespace cajal::sync::testing {
namespace {

struct Object {
  int queue = -1;  // Of a command buffer; of an event, the queue where it was recorded.
  int upto = -1;   // Items of that queue that waiting for the object ends.
  bool is_queue = false;
};

struct Touch {
  int memory = -1;
  bool write = false;
  bool handler = false;
};

struct Item {
  int work = -1;  // -1 for an order on another queue's item.
  int other_queue = -1;
  int other_upto = -1;
  std::vector<Touch> touches;
  bool done = false;
};

/// A variable: what it is as memory, and the object that it holds.
struct Cell {
  int memory = -1;
  int object = -1;
  bool dies = false;
};

struct Frame {
  const Function* function = nullptr;
  std::vector<std::string> params;
  std::string self;
  std::string result;
  int number = 0;
};

class Simulator {
 public:
  Simulator(const Program& program, const RunOptions& options)
      : program_(program), options_(options), random_(options.seed) {}

  std::multiset<Race> run() {
    std::vector<int> external;
    for (std::size_t i = 0; i < program_.functions.size(); ++i) {
      if (program_.functions[i].external) external.push_back(static_cast<int>(i));
    }
    for (int call = 0; call < options_.calls && !external.empty(); ++call) {
      const int root = external[choose(external.size())];
      Frame frame;
      frame.function = &program_.functions[root];
      frame.number = ++frames_;
      for (int i = 0; i < frame.function->parameters; ++i) {
        frame.params.push_back("G" + std::to_string(choose(3)));
      }
      frame.result = "ret" + std::to_string(frame.number);
      execute(frame, 0);
      if (over()) break;  // Cut off in the middle, not returned.
      // The caller may do what it likes with what it can see.
      ++step_;
      for (auto& [name, cell] : cells_) {
        if (name.starts_with('G')) host(cell.memory, true, "caller of " + frame.function->name);
      }
    }
    return std::move(races_);
  }

 private:
  std::size_t choose(std::size_t count) { return random_() % count; }
  bool over() const { return step_ > options_.most_steps; }

  std::string address(const Path& path, const Frame& frame);
  Cell& cell(const std::string& name) {
    Cell& found = cells_[name];
    if (found.memory < 0) found.memory = memories_++;
    return found;
  }
  Cell& cell(const Path& path, const Frame& frame) {
    Cell& found = cell(address(path, frame));
    found.dies = found.dies || path.dies;
    return found;
  }
  Object& object(const Path& path, const Frame& frame) {
    Cell& at = cell(path, frame);
    if (at.object < 0) {
      at.object = static_cast<int>(objects_.size());
      objects_.emplace_back();
    }
    return objects_[at.object];
  }
  int queue(const Path& path, const Frame& frame) {
    Object& found = object(path, frame);
    if (found.queue < 0) {
      found.queue = static_cast<int>(queues_.size());
      found.is_queue = true;
      queues_.emplace_back();
    }
    return found.queue;
  }
  void execute(const Frame& frame, int depth);
  void apply(const Event& event, const Frame& frame, int depth);
  void call(const Event& event, const Frame& frame, int depth);
  void wait(const Event& event, const Frame& frame);
  void launch(int at, std::vector<Touch> touches);
  void order_after(int at, int other);
  void order_default_stream(int at, const Traits& traits);
  bool ordered(int at, int other, int index, int depth) const;
  void finish(int at, int upto);
  void host(int memory, bool write, const std::string& what);
  void touch(const Event& event, const Frame& frame);
  std::vector<Touch> touches_of(const Event& event, const Frame& frame);

  const Program& program_;
  RunOptions options_;
  std::mt19937_64 random_;
  std::map<std::string, Cell> cells_;
  std::vector<Object> objects_;
  std::map<int, std::vector<Touch>> recorded_;  // By object.
  std::vector<std::vector<Item>> queues_;
  std::set<int> blocking_queues_;
  int legacy_queue_ = -1;
  std::multiset<Race> races_;
  int memories_ = 0;
  int works_ = 0;
  int step_ = 0;
  int frames_ = 0;
};

std::string Simulator::address(const Path& path, const Frame& frame) {
  std::string name;
  switch (path.root) {
    case Root::param:
      name =
          path.index < static_cast<int>(frame.params.size()) ? frame.params[path.index] : "Gunseen";
      break;
    case Root::self:
      name = frame.self.empty() ? "Gself" : frame.self;
      break;
    case Root::global:
      name = "G" + path.name;
      break;
    case Root::result:
      name = frame.result;
      break;
    default:
      name = "L" + std::to_string(frame.number) + path.name;
  }
  for (const std::string& field : path.fields) {
    name += field == "[*]" ? "[" + std::to_string(choose(2)) + "]" : "." + field;
  }
  return name;
}

std::vector<Touch> Simulator::touches_of(const Event& event, const Frame& frame) {
  std::vector<Touch> touches;
  for (const Access& access : event.accesses) {
    touches.push_back({cell(access.path, frame).memory, access.write, access.handler});
  }
  return touches;
}

void Simulator::host(int memory, bool write, const std::string& what) {
  for (const auto& items : queues_) {
    for (const Item& item : items) {
      if (item.done || item.work < 0) continue;
      for (const Touch& mine : item.touches) {
        if (mine.memory == memory && (mine.write || write)) {
          races_.insert({step_, item.work, what});
        }
      }
    }
  }
}

void Simulator::touch(const Event& event, const Frame& frame) {
  for (const Touch& one : touches_of(event, frame)) {
    host(one.memory, one.write, "line " + std::to_string(event.line));
  }
}

void Simulator::finish(int at, int upto) {
  auto& items = queues_[at];
  for (int i = 0; i <= upto && i < static_cast<int>(items.size()); ++i) {
    if (items[i].done) continue;
    items[i].done = true;
    if (items[i].other_queue >= 0) finish(items[i].other_queue, items[i].other_upto);
  }
}

/// Everything that queue `at` runs from now on comes after item `index` of queue `other`.
bool Simulator::ordered(int at, int other, int index, int depth) const {
  if (at == other) return true;
  for (const Item& item : queues_[at]) {
    if (item.other_queue < 0 || depth > 4) continue;
    if (item.other_queue == other && item.other_upto >= index) return true;
    // Through a third queue: only what stood before the event there counts.
    for (int i = 0; i <= item.other_upto; ++i) {
      const Item& step = queues_[item.other_queue][i];
      if (step.other_queue == other && step.other_upto >= index) return true;
    }
  }
  return false;
}

void Simulator::launch(int at, std::vector<Touch> touches) {
  const int work = works_++;
  for (std::size_t other = 0; other < queues_.size(); ++other) {
    for (std::size_t i = 0; i < queues_[other].size(); ++i) {
      const Item& item = queues_[other][i];
      if (item.done || item.work < 0) continue;
      if (ordered(at, static_cast<int>(other), static_cast<int>(i), 0)) continue;
      for (const Touch& earlier : item.touches) {
        for (const Touch& later : touches) {
          if (earlier.memory == later.memory && (earlier.write || later.write)) {
            races_.insert({step_, item.work, "device"});
          }
        }
      }
    }
  }
  for (const auto& items : queues_) {
    for (const Item& item : items) {
      if (item.done) continue;
      for (const Touch& earlier : item.touches) {
        for (const Touch& later : touches) {
          if (earlier.handler && earlier.memory == later.memory && (earlier.write || later.write)) {
            races_.insert({step_, item.work, "handler"});
          }
        }
      }
    }
  }
  Item item;
  item.work = work;
  item.touches = std::move(touches);
  queues_[at].push_back(std::move(item));
}

void Simulator::order_after(int at, int other) {
  if (at == other || queues_[other].empty()) return;
  Item item;
  item.other_queue = other;
  item.other_upto = static_cast<int>(queues_[other].size()) - 1;
  queues_[at].push_back(item);
}

/// The legacy default stream and the blocking streams wait for each other.
void Simulator::order_default_stream(int at, const Traits& traits) {
  if (traits.legacy) {
    legacy_queue_ = at;
    for (const int blocking : blocking_queues_) order_after(at, blocking);
  } else if (traits.blocking) {
    blocking_queues_.insert(at);
    if (legacy_queue_ >= 0) order_after(at, legacy_queue_);
  }
}

void Simulator::wait(const Event& event, const Frame& frame) {
  if (event.target.empty()) {
    for (std::size_t i = 0; i < queues_.size(); ++i) {
      finish(static_cast<int>(i), static_cast<int>(queues_[i].size()) - 1);
    }
    return;
  }
  const Object& target = object(event.target, frame);
  if (target.queue < 0) return;
  finish(target.queue,
         target.is_queue ? static_cast<int>(queues_[target.queue].size()) - 1 : target.upto);
}

void Simulator::call(const Event& event, const Frame& frame, int depth) {
  Frame inner;
  inner.function = &program_.functions[event.callee];
  inner.number = ++frames_;
  for (const Path& argument : event.arguments) inner.params.push_back(address(argument, frame));
  inner.result =
      event.target.empty() ? "ret" + std::to_string(inner.number) : address(event.target, frame);
  if (!event.source.empty()) inner.self = address(event.source, frame);
  execute(inner, depth + 1);
  if (over()) return;
  const std::string prefix = "L" + std::to_string(inner.number);
  for (auto& [name, mine] : cells_) {
    const bool own = name.starts_with(prefix) && !std::isdigit(name[prefix.size()]);
    if (own && mine.dies) host(mine.memory, true, "end of " + inner.function->name);
  }
}

void Simulator::apply(const Event& event, const Frame& frame, int depth) {
  switch (event.op) {
    case Op::make: {
      Object made;
      if (!event.source.empty()) made.queue = queue(event.source, frame);
      cell(event.target, frame).object = static_cast<int>(objects_.size());
      objects_.push_back(made);
      break;
    }
    case Op::copy:
      object(event.source, frame);
      cell(event.target, frame).object = cell(event.source, frame).object;
      break;
    case Op::encode: {
      object(event.target, frame);
      auto touches = touches_of(event, frame);
      auto& mine = recorded_[cell(event.target, frame).object];
      mine.insert(mine.end(), touches.begin(), touches.end());
      break;
    }
    case Op::commit: {
      Object& target = object(event.target, frame);
      if (target.queue < 0 || target.is_queue || target.upto >= 0) break;  // A program's own fault.
      const int at = target.queue;
      target.upto = static_cast<int>(queues_[at].size());
      launch(at, recorded_[cell(event.target, frame).object]);
      break;
    }
    case Op::submit: {
      const int at = queue(event.target, frame);
      order_default_stream(at, event.traits);
      launch(at, touches_of(event, frame));
      break;
    }
    case Op::record: {
      const int at = queue(event.source, frame);
      Object& marker = object(event.target, frame);
      marker.queue = at;
      marker.upto = static_cast<int>(queues_[at].size()) - 1;
      break;
    }
    case Op::order: {
      const int at = queue(event.target, frame);
      const Object& marker = object(event.source, frame);
      Item item;
      item.other_queue = marker.queue;
      item.other_upto = marker.upto;
      if (marker.queue >= 0) queues_[at].push_back(item);
      break;
    }
    case Op::host:
      touch(event, frame);
      break;
    case Op::unknown:
      touch(event, frame);
      for (int i = 0; i < 3 && event.traits.touches_all; ++i) {
        host(cell("G" + std::to_string(i)).memory, true, "unknown");
      }
      break;
    case Op::alias:
      cell(event.target, frame).memory = cell(event.source, frame).memory;
      break;
    case Op::call:
      call(event, frame, depth);
      break;
    default:
      break;
  }
}

void Simulator::execute(const Frame& frame, int depth) {
  int block = frame.function->entry;
  while (!over() && depth < 8) {
    for (const Event& event : frame.function->blocks[block].events) {
      if (event.op == Op::mark) continue;
      if (event.op == Op::wait) {
        wait(event, frame);
        continue;
      }
      ++step_;
      if (over()) return;
      apply(event, frame, depth);
    }
    const auto& next = frame.function->blocks[block].next;
    if (next.empty()) {
      // Nobody sees what a program leaves in flight that ends here, in exit() for one.
      if (block != frame.function->exit) step_ = options_.most_steps + 1;
      return;
    }
    ++step_;
    block = next[choose(next.size())];
  }
}

}  // namespace

std::multiset<Race> simulate(const Program& program, const RunOptions& options) {
  return Simulator(program, options).run();
}

}  // namespace cajal::sync::testing
