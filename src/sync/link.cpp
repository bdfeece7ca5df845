#include "sync/link.h"

#include <fmt/format.h>

#include <map>
#include <set>
#include <utility>

namespace cajal::sync {
namespace {

template <typename Visit>
void for_each_path(Event& event, const Visit& visit) {
  visit(event.target);
  visit(event.source);
  for (Access& access : event.accesses) visit(access.path);
  for (Path& argument : event.arguments) visit(argument);
}

class Linker {
 public:
  Linker(const std::vector<const Program*>& files, std::vector<std::string> names) {
    program_.files = std::move(names);
    for (std::size_t i = 0; i < files.size(); ++i) add(*files[i], static_cast<int>(i));
  }

  Program run() {
    for (Function& function : program_.functions) resolve(function);
    for (Function& function : program_.functions) {
      const bool known_callers = function.opaque.empty() && !function.exposed && !opaque_anywhere_;
      if (known_callers) function.external = false;
    }
    return std::move(program_);
  }

 private:
  void add(const Program& file, int number);
  void resolve(Function& function);

  Program program_;
  std::map<std::string, int> symbols_;
  bool opaque_anywhere_ = false;  // What does not parse may call anything.
};

void Linker::add(const Program& file, int number) {
  const int functions = static_cast<int>(program_.functions.size());
  const int waits = static_cast<int>(program_.waits.size());
  program_.untracked = program_.untracked || file.untracked;
  for (WaitSite site : file.waits) {
    site.file = number;
    program_.waits.push_back(std::move(site));
  }
  const auto renumber = [&](Path& path) {
    if (path.owner >= 0) path.owner += functions;
    // A name of the file's own.
    if (path.root == Root::global && path.name.find('@') != std::string::npos) {
      path.name += fmt::format("/{}", number);
    }
  };
  for (Function function : file.functions) {
    function.file = number;
    for (Block& block : function.blocks) {
      for (Event& event : block.events) {
        if (event.callee >= 0) event.callee += functions;
        if (event.wait >= 0) event.wait += waits;
        for_each_path(event, renumber);
      }
    }
    opaque_anywhere_ = opaque_anywhere_ || !function.opaque.empty();
    const int index = static_cast<int>(program_.functions.size());
    if (!function.symbol.empty()) symbols_.try_emplace(function.symbol, index);
    program_.functions.push_back(std::move(function));
  }
}

/// Calls that come into view; what named their values as foreign names them as the caller's own.
void Linker::resolve(Function& function) {
  std::set<std::pair<std::string, int>> values;
  for (Block& block : function.blocks) {
    for (Event& event : block.events) {
      const auto callee = symbols_.find(event.symbol);
      if (event.op != Op::unknown || event.symbol.empty() || callee == symbols_.end()) continue;
      event.op = Op::call;
      event.callee = callee->second;
      event.accesses.clear();
      event.traits = {};
      values.insert({event.target.name, event.target.owner});
    }
  }
  if (values.empty()) return;
  for (Block& block : function.blocks) {
    for (Event& event : block.events) {
      for_each_path(event, [&](Path& path) {
        const bool known = path.root == Root::foreign && values.contains({path.name, path.owner});
        if (known) path.root = Root::local;
      });
    }
  }
}

}  // namespace

Program link(const std::vector<const Program*>& files, std::vector<std::string> names) {
  return Linker(files, std::move(names)).run();
}

std::vector<Decisions> split(const Decisions& decisions, const std::vector<const Program*>& files) {
  std::vector<Decisions> out(files.size());
  std::size_t next = 0;
  for (std::size_t i = 0; i < files.size(); ++i) {
    for (std::size_t wait = 0; wait < files[i]->waits.size(); ++wait, ++next) {
      out[i].waits.push_back(decisions.waits[next]);
      out[i].commits.push_back(decisions.commits[next]);
    }
    out[i].busiest = decisions.busiest;
  }
  for (const Missing& missing : decisions.missing) {
    out[static_cast<std::size_t>(missing.file)].missing.push_back(missing);
  }
  return out;
}

}  // namespace cajal::sync
