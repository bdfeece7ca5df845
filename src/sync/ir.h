// What a host program does to a device, free of any API and of Clang: functions as graphs of
// events.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cajal::sync {

/// Where a path starts.
enum class Root {
  local,    ///< A variable of the function.
  param,    ///< A parameter of the function; `index` is its position.
  self,     ///< The object that the method belongs to.
  global,   ///< A variable outside all functions.
  result,   ///< What the function returns.
  foreign,  ///< Something that came from code out of sight.
};

/// A buffer, host array, command buffer, queue or event, named as the program names it. Memory
/// behind a pointer carries the pointer's name.
struct Path {
  Root root = Root::foreign;
  int index = -1;                   ///< Of a parameter.
  int owner = -1;                   ///< Function whose variable it is, for captured ones; -1: this.
  std::string name;                 ///< Of the variable; of the class for `self`.
  std::vector<std::string> fields;  ///< "loss", "[2]", "[*]".
  std::string type;                 ///< Of a parameter: those of one type may be the same object.
  bool handle = false;              ///< A reference-counted handle (MTLBuffer), no raw memory.
  bool dies = false;                ///< The memory itself lives in the variable and ends with it.

  bool empty() const { return root == Root::foreign && name.empty(); }
  Path field(std::string_view name) const;
};

/// As a reader would write it: "loss", "self.loss", "m.acts[*]".
std::string to_string(const Path& path);

/// Names one thing for sure: no element with an unknown index, nothing from out of sight.
bool is_definite(const Path& path);

struct Access {
  Path path;
  bool write = false;
  bool handler = false;  ///< By a completion handler, on the host, after the device's part.
};

enum class Op {
  make,     ///< target becomes a new object (command buffer on queue `source`, a queue, an event).
  copy,     ///< target names the same object as source from here on.
  encode,   ///< Work with `accesses` is recorded into command buffer target.
  commit,   ///< Command buffer target goes to its queue.
  submit,   ///< Work with `accesses` goes to queue target at once.
  record,   ///< Event target marks everything on queue `source` so far.
  order,    ///< Queue target's later work waits for event `source`.
  wait,     ///< The host waits for target; for the whole device when target is empty.
  status,   ///< The host reads target's outcome (status, error, times).
  host,     ///< The host performs `accesses`.
  alias,    ///< target and source may be the same memory.
  call,     ///< Calls `callee` with `arguments`; the value goes to target.
  unknown,  ///< Code out of sight runs; `accesses` are what it is handed.
  leave,    ///< The variables in `accesses` end; without any, those called *#`frame`.
  mark,     ///< A place in the source to which the wait `wait` could be moved.
};

/// Properties of an event that change what it means.
struct Traits {
  bool blocking = false;     ///< On a stream that synchronises with the legacy default stream.
  bool legacy = false;       ///< On the legacy default stream.
  bool unretained = false;   ///< A command buffer that does not keep its buffers alive.
  bool touches_all = false;  ///< Unknown code that may reach everything that is not local.
  bool null = false;         ///< A copy of no object at all.
  bool managed = false;      ///< Host access to managed memory.
  bool guarded = false;      ///< A wait that the program skips where it has nothing to wait for.
};

struct Event {
  Op op = Op::host;
  unsigned line = 0;
  Path target;
  Path source;
  std::vector<Access> accesses;
  int callee = -1;
  std::vector<Path> arguments;
  std::string symbol;  ///< Of an unknown call: what would be called, for when it comes into view.
  int wait = -1;  ///< Index in Program::waits; -1 for a wait inside another call (a blocking copy).
  std::string text;  ///< What happens there, for the reader: "reads `loss` through `contents`".
  int frame = 0;
  Traits traits;
};

struct Block {
  std::vector<Event> events;
  std::vector<int> next;
};

struct Function {
  std::string name;
  int file = 0;
  unsigned line = 0;
  unsigned end_line = 0;
  bool external = true;  ///< Code out of sight may call it.
  bool exposed = true;   ///< By other means than its name: a pointer, a selector, a virtual call.
  std::string symbol;    ///< The same in all files; empty for what only its own file can name.
  int parameters = 0;
  std::vector<Block> blocks;
  int entry = 0;
  int exit = 0;        ///< A block without events.
  bool block = false;  ///< A lambda or block: it runs where it is called, not from outside.
  std::string opaque;  ///< Why it cannot be followed: a parse error inside, for one.
};

/// How the source itself settles a wait.
enum class Settled { no, contract, timing, unknown, semaphore };

struct WaitSite {
  int file = 0;
  unsigned line = 0;
  unsigned column = 0;
  std::string function;
  std::string call;
  Settled settled = Settled::no;
  std::string why;  ///< For what is settled.
};

struct Program {
  std::vector<std::string> files;  ///< Names for the reader; one empty name for a single file.
  std::vector<Function> functions;
  std::vector<WaitSite> waits;
  /// Memory is used whose hazards the device does not track (heaps): that work comes later on the
  /// same queue does not keep it from running beside the earlier.
  bool untracked = false;
};

/// One line an event, for tests and for people who debug the front end.
std::string dump(const Program& program);

}  // namespace cajal::sync
