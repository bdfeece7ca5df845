// metrics.jsonl of an earlier run: what stays are whole lines of the old file, in their order, each
// an object of a step that the resumed run has behind it; a second look changes nothing.
#include "train/metrics.h"

#include <nlohmann/json.hpp>
#include <string>

#include "support.h"
#include "targets.h"

namespace cajal::fuzz {
namespace {

constexpr std::int64_t kLastStep = 100;

/// The position after the next line of `old` that is `line`.
std::size_t find_line(std::string_view old, std::size_t from, std::string_view line) {
  while (from < old.size()) {
    const std::size_t end = old.find('\n', from);
    require(end != std::string_view::npos, "a kept line stands in the old file");
    if (old.substr(from, end - from) == line) return end + 1;
    from = end + 1;
  }
  throw Violation("a kept line stands in the old file, in its order");
}

void check_kept(std::string_view kept, std::string_view old) {
  require(kept.empty() || kept.back() == '\n', "no line is cut");
  std::size_t position = 0;
  while (!kept.empty()) {
    const std::string_view line = kept.substr(0, kept.find('\n'));
    kept.remove_prefix(line.size() + 1);
    position = find_line(old, position, line);
    const auto object = nlohmann::json::parse(line, nullptr, false);
    require(object.is_object() && object.contains("step"), "a line is an object of a step");
    require(object["step"].is_number_integer() && object["step"].get<std::int64_t>() <= kLastStep,
            "a line belongs to a step that is done");
  }
}

}  // namespace

void metrics(std::string_view input) {
  static const Scratch scratch;
  const auto file = scratch.put("metrics.jsonl", input);
  accept_or_refuse([&] {
    { const train::MetricsLog log(file, kLastStep); }
    const std::string kept = contents_of(file);
    check_kept(kept, input);
    { const train::MetricsLog log(file, kLastStep); }
    require(contents_of(file) == kept, "a second look changes nothing");
  });
}

}  // namespace cajal::fuzz
