#include "sync/batch.h"

#include <algorithm>
#include <map>

#include "sync/handler_text.h"

namespace cajal::sync {
namespace {

class Batcher {
 public:
  explicit Batcher(const FileScan& scan)
      : scan_(scan), quiet_(scan.unit.program.functions.size()) {}

  Batch run() {
    if (!scan_.decisions.missing.empty()) return {};
    for (const CommitText& commit : scan_.unit.commits) {
      const CommitText* second = neighbour(commit);
      if (second != nullptr) join(commit, *second);
    }
    return std::move(batch_);
  }

 private:
  enum class Quiet { unasked, asked, yes, no };

  const MakeText* make_of(const CommitText& commit) const {
    const auto& makes = scan_.unit.makes;
    const auto found = std::find_if(makes.rbegin(), makes.rend(), [&](const MakeText& make) {
      return make.name == commit.command && make.compound == commit.compound &&
             make.begin < commit.begin;
    });
    return found == makes.rend() ? nullptr : &*found;
  }

  const CommitText* neighbour(const CommitText& first) const;
  const Event* follow(const CommitText& first, const CommitText& second) const;
  bool passes(const Event& event) const;
  bool quiet(int function) const;
  void join(const CommitText& first, const CommitText& second);

  const FileScan& scan_;
  mutable std::vector<Quiet> quiet_;
  Batch batch_;
};

/// The next command buffer of the same braces and queue, if all of it follows without a branch.
const CommitText* Batcher::neighbour(const CommitText& first) const {
  const MakeText* made = make_of(first);
  if (made == nullptr || first.end == 0 || !first.writable) return nullptr;
  for (const CommitText& second : scan_.unit.commits) {
    const MakeText* next = make_of(second);
    if (next == nullptr || second.function != first.function || second.end == 0) continue;
    if (next->compound != first.compound || next->begin < first.end) continue;
    if (next->queue != made->queue) continue;
    if (follow(first, second) != nullptr) return &second;
  }
  return nullptr;
}

/// Work of the device and names for it; memory of the host only where nothing shares it.
bool Batcher::passes(const Event& event) const {
  switch (event.op) {
    case Op::make:
    case Op::encode:
    case Op::alias:
    case Op::mark:
      return true;
    case Op::copy:
      return event.target.root == Root::local;
    case Op::host:
      return std::all_of(event.accesses.begin(), event.accesses.end(), [](const Access& access) {
        return access.path.root == Root::local && access.path.dies;
      });
    case Op::call:
      return quiet(event.callee);
    default:
      return false;
  }
}

bool Batcher::quiet(int function) const {
  Quiet& known = quiet_[function];
  if (known == Quiet::asked) return false;  // It calls itself.
  if (known != Quiet::unasked) return known == Quiet::yes;
  known = Quiet::asked;
  const Function& code = scan_.unit.program.functions[function];
  const bool all = code.opaque.empty() &&
                   std::all_of(code.blocks.begin(), code.blocks.end(), [&](const Block& block) {
                     return std::all_of(
                         block.events.begin(), block.events.end(),
                         [&](const Event& event) { return event.op != Op::make && passes(event); });
                   });
  quiet_[function] = all ? Quiet::yes : Quiet::no;
  return all;
}

/// The second commit, reached from the first in a line in which the second buffer is made.
const Event* Batcher::follow(const CommitText& first, const CommitText& second) const {
  const auto is_commit = [](const Event& event, const CommitText& text) {
    return event.op == Op::commit && event.line == text.line;
  };
  for (const Function& function : scan_.unit.program.functions) {
    if (function.name != first.function) continue;
    for (std::size_t start = 0; start < function.blocks.size(); ++start) {
      const auto& events = function.blocks[start].events;
      const auto at = std::find_if(events.begin(), events.end(),
                                   [&](const Event& event) { return is_commit(event, first); });
      if (at == events.end()) continue;
      std::size_t position = static_cast<std::size_t>(at - events.begin()) + 1;
      std::size_t block = start;
      for (std::size_t steps = 0; steps <= function.blocks.size(); ++steps) {
        const Block& here = function.blocks[block];
        for (; position < here.events.size(); ++position) {
          const Event& event = here.events[position];
          if (is_commit(event, second)) return &event;
          if (!passes(event)) return nullptr;
        }
        if (here.next.size() != 1) return nullptr;
        block = static_cast<std::size_t>(here.next.front());
        position = 0;
      }
    }
  }
  return nullptr;
}

void Batcher::join(const CommitText& first, const CommitText& second) {
  const std::string& text = scan_.text;
  Edit commit;
  if (!statement_range(text, first.begin, first.end, commit)) return;
  // The handler that took the place of a wait here: the second commit has or needs one of its own.
  const std::string handler = handler_text(first, text);
  if (second.reported && first.begin >= handler.size() &&
      text.compare(first.begin - handler.size(), handler.size(), handler) == 0) {
    commit.begin = line_begin(text, first.begin - handler.size());
  }
  const MakeText* made = make_of(second);
  batch_.edits.push_back(commit);
  batch_.edits.push_back({made->begin, made->end, first.command});
  ++batch_.joins;
}

}  // namespace

Batch plan_batch(const FileScan& scan) { return Batcher(scan).run(); }

}  // namespace cajal::sync
