#include "sync/random_program.h"

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace cajal::sync::testing {
namespace {

Path named(Root root, const std::string& name) {
  Path path;
  path.root = root;
  path.name = name;
  path.handle = true;
  return path;
}

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}

  Program run() {
    const int helpers = static_cast<int>(choose(3));
    const int roots = 1 + static_cast<int>(choose(2));
    for (int i = 0; i < helpers + roots; ++i) function(i, i >= helpers);
    return std::move(program_);
  }

 private:
  std::size_t choose(std::size_t count) { return random_() % count; }
  bool chance(int percent) { return static_cast<int>(choose(100)) < percent; }

  void function(int index, bool external);
  void body(int depth, int statements);
  void statement(int depth);
  void submission();
  void wait();
  void host();
  void call();
  void choice();
  Event& add(Op op) {
    Block& block = current_->blocks[at_];
    block.events.emplace_back();
    block.events.back().op = op;
    block.events.back().line = ++line_;
    return block.events.back();
  }
  int fresh_block() {
    current_->blocks.emplace_back();
    return static_cast<int>(current_->blocks.size()) - 1;
  }
  Path buffer();
  Path queue() {
    // "chosen" is one of the others, or a queue of its own, as the program runs.
    if (chance(15)) return named(Root::global, "chosen");
    return named(Root::global, "q" + std::to_string(choose(2)));
  }
  Path command() { return named(Root::local, "cb" + std::to_string(choose(3))); }
  Path marker() { return named(Root::global, "e" + std::to_string(choose(2))); }

  std::mt19937_64 random_;
  Program program_;
  Function* current_ = nullptr;
  int at_ = 0;
  unsigned line_ = 0;
};

Path Generator::buffer() {
  const auto kind = choose(10);
  if (kind < 5) return named(Root::global, std::to_string(choose(4)));
  if (kind < 7 && current_->parameters > 0) {
    Path path = named(Root::param, "");
    path.index = static_cast<int>(choose(static_cast<std::size_t>(current_->parameters)));
    path.type = "buffer";
    return path;
  }
  if (kind < 8) {
    return named(Root::global, "list")
        .field(chance(50) ? "[*]" : "[" + std::to_string(choose(2)) + "]");
  }
  Path path = named(Root::local, "b" + std::to_string(choose(3)));
  path.dies = path.name == "b2";
  return path;
}

void Generator::submission() {
  const bool direct = chance(35);
  const Path target = direct ? queue() : command();
  if (!direct) {
    Event& make = add(Op::make);
    make.target = target;
    make.source = queue();
  }
  const auto accesses = [&](Event& event) {
    const auto count = 1 + choose(2);
    for (std::size_t i = 0; i < count; ++i)
      event.accesses.push_back({buffer(), chance(50), chance(10)});
  };
  if (direct) {
    Event& event = add(Op::submit);
    event.target = target;
    accesses(event);
    return;
  }
  Event& encode = add(Op::encode);
  encode.target = target;
  accesses(encode);
  if (chance(20)) {
    Event& copy = add(Op::copy);
    copy.target = named(Root::global, "last");
    copy.source = target;
  }
  // Committing twice is an error of the program, so a buffer is made, filled and committed in a
  // row.
  if (chance(20)) host();
  if (chance(20)) {
    Event& more = add(Op::encode);
    more.target = target;
    accesses(more);
  }
  if (chance(92)) add(Op::commit).target = target;
}

void Generator::wait() {
  if (chance(15)) {
    Event& record = add(Op::record);
    record.target = marker();
    record.source = queue();
  }
  if (chance(8)) {
    Event& order = add(Op::order);
    order.target = queue();
    order.source = marker();
  }
  Event& event = add(Op::wait);
  const auto kind = choose(10);
  if (kind < 5)
    event.target = command();
  else if (kind < 7)
    event.target = queue();
  else if (kind < 8)
    event.target = marker();
  else if (kind < 9)
    event.target = named(Root::global, "last");
  const int wait = static_cast<int>(program_.waits.size());
  event.wait = wait;
  WaitSite site;
  site.line = event.line;
  site.function = current_->name;
  program_.waits.push_back(site);
  for (auto marks = choose(3); marks > 0; --marks) {
    if (chance(60)) submission();
    if (chance(30)) host();
    add(Op::mark).wait = wait;
  }
}

/// A variable is given another object than it had.
void Generator::choice() {
  Event& copy = add(Op::copy);
  const auto kind = choose(4);
  if (kind < 2) {
    copy.target = named(Root::global, "chosen");
    copy.source = named(Root::global, "q" + std::to_string(choose(2)));
  } else if (kind < 3) {
    copy.target = command();
    copy.source = command();
  } else {
    copy.target = marker();
    copy.source = marker();
  }
}

void Generator::host() {
  if (chance(10)) {
    Event& alias = add(Op::alias);
    const Path source = buffer();
    alias.target = named(Root::local, "b" + std::to_string(choose(2)));
    alias.source = source;
    return;
  }
  Event& event = add(chance(96) ? Op::host : Op::unknown);
  event.traits.touches_all = event.op == Op::unknown && chance(50);
  event.accesses.push_back({buffer(), event.op == Op::unknown || chance(40), false});
}

void Generator::call() {
  if (program_.functions.empty()) return host();
  Event& event = add(Op::call);
  event.callee = static_cast<int>(choose(program_.functions.size()));
  const int parameters = program_.functions[event.callee].parameters;
  std::vector<Path> arguments;
  for (int i = 0; i < parameters; ++i) arguments.push_back(buffer());
  current_->blocks[at_].events.back().arguments = arguments;
}

void Generator::statement(int depth) {
  const auto kind = choose(20);
  if (chance(8)) return choice();
  if (kind < 6) return submission();
  if (kind < 12) return wait();
  if (kind < 15) return host();
  if (kind < 17) return call();
  if (depth > 2) return host();
  if (kind < 18) {  // A loop, entered or not.
    const int head = fresh_block();
    const int inside = fresh_block();
    const int after = fresh_block();
    current_->blocks[at_].next = {head};
    current_->blocks[head].next = {inside, after};
    at_ = inside;
    body(depth + 1, 3);
    current_->blocks[at_].next = {head};
    at_ = after;
    return;
  }
  const int yes = fresh_block();
  const int no = fresh_block();
  const int after = fresh_block();
  current_->blocks[at_].next = {yes, no};
  at_ = yes;
  body(depth + 1, 2);
  current_->blocks[at_].next = {chance(12) ? current_->exit : after};
  at_ = no;
  if (chance(50)) body(depth + 1, 2);
  current_->blocks[at_].next = {after};
  at_ = after;
}

void Generator::body(int depth, int statements) {
  const auto count = 1 + choose(static_cast<std::size_t>(statements));
  for (std::size_t i = 0; i < count; ++i) statement(depth);
}

void Generator::function(int index, bool external) {
  Function function;
  function.name = "f" + std::to_string(index);
  function.external = external;
  function.parameters = static_cast<int>(choose(3));
  current_ = &function;
  function.exit = fresh_block();
  function.entry = at_ = fresh_block();
  body(0, external ? 7 : 4);
  if (external && chance(60)) wait();
  function.blocks[at_].next = {function.exit};
  program_.functions.push_back(std::move(function));
}

}  // namespace

Program random_program(std::uint64_t seed) { return Generator(seed).run(); }

Program without_waits(const Program& program, const std::vector<int>& removed,
                      const std::vector<std::pair<int, unsigned>>& moved) {
  std::vector<Event> waits(program.waits.size());
  for (const Function& function : program.functions) {
    for (const Block& block : function.blocks) {
      for (const Event& event : block.events) {
        if (event.op == Op::wait && event.wait >= 0) waits[event.wait] = event;
      }
    }
  }
  Program out = program;
  for (Function& function : out.functions) {
    for (Block& block : function.blocks) {
      std::vector<Event> events;
      for (const Event& event : block.events) {
        const auto to = std::find_if(moved.begin(), moved.end(),
                                     [&](const auto& one) { return one.first == event.wait; });
        const bool gone = std::find(removed.begin(), removed.end(), event.wait) != removed.end();
        if (event.op == Op::wait && (gone || to != moved.end())) continue;
        events.push_back(event);
        const bool here = event.op == Op::mark && to != moved.end() && to->second == event.line;
        if (here) events.push_back(waits[event.wait]);
      }
      block.events = std::move(events);
    }
  }
  return out;
}

}  // namespace cajal::sync::testing
