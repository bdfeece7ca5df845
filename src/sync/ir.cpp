#include "sync/ir.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace cajal::sync {
namespace {

constexpr std::array kOpNames = {"make",   "copy",  "encode",  "commit", "submit",
                                 "record", "order", "wait",    "status", "host",
                                 "alias",  "call",  "unknown", "leave",  "mark"};

std::string root_text(const Path& path) {
  switch (path.root) {
    case Root::param:
      return path.name.empty() ? fmt::format("%{}", path.index) : path.name;
    case Root::self:
      return "self";
    case Root::result:
      return "result";
    case Root::foreign:
      return path.name.empty() ? "?" : path.name;
    case Root::local:
    case Root::global:
      break;
  }
  return path.name.substr(0, path.name.find_first_of("#@"));
}

std::string dump(const Event& event) {
  std::string out = fmt::format("    {:>4} {}", event.line, kOpNames[static_cast<int>(event.op)]);
  if (!event.target.empty()) out += " " + to_string(event.target);
  if (!event.source.empty()) out += " <- " + to_string(event.source);
  for (const Access& access : event.accesses) {
    out += fmt::format(" {}{}:{}", access.handler ? "handler-" : "", access.write ? "w" : "r",
                       to_string(access.path));
  }
  if (event.callee >= 0) out += fmt::format(" callee={}", event.callee);
  for (const Path& argument : event.arguments) out += " arg:" + to_string(argument);
  if (event.wait >= 0) out += fmt::format(" #{}", event.wait);
  return out + (event.text.empty() ? "" : "  ; " + event.text) + "\n";
}

}  // namespace

Path Path::field(std::string_view field_name) const {
  Path out = *this;
  // A list that contains itself would grow without end in a loop.
  constexpr std::size_t kDeepest = 6;
  if (out.fields.size() < kDeepest) {
    out.fields.emplace_back(field_name);
  } else if (out.fields.back() != "[*]") {
    out.fields.emplace_back("[*]");
  }
  return out;
}

std::string to_string(const Path& path) {
  std::string out = root_text(path);
  for (const std::string& field : path.fields) out += field.starts_with('[') ? field : "." + field;
  return out;
}

bool is_definite(const Path& path) {
  return path.root != Root::foreign &&
         std::none_of(path.fields.begin(), path.fields.end(),
                      [](const std::string& field) { return field == "[*]"; });
}

std::string dump(const Program& program) {
  std::string out;
  for (std::size_t i = 0; i < program.functions.size(); ++i) {
    const Function& function = program.functions[i];
    out += fmt::format("{} {} line {}{}{}\n", i, function.name, function.line,
                       function.external ? " external" : "",
                       function.opaque.empty() ? "" : " opaque: " + function.opaque);
    for (std::size_t b = 0; b < function.blocks.size(); ++b) {
      out += fmt::format("  B{} -> {}\n", b, fmt::join(function.blocks[b].next, " "));
      for (const Event& event : function.blocks[b].events) out += dump(event);
    }
  }
  return out;
}

}  // namespace cajal::sync
