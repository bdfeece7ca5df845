// metrics.jsonl of an earlier run: what stays are whole lines of the old file, in their order, none
// of a step that the resumed run has yet to make; a second look changes nothing. Thinned, it is
// shorter and keeps every evaluation.
#include "train/metrics.h"

#include <nlohmann/json.hpp>
#include <string>

#include "support.h"
#include "targets.h"

namespace cajal::fuzz {
namespace {

constexpr std::int64_t kLastStep = 100;
constexpr std::uint64_t kSmallLimit = 256;

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

bool is_later(std::string_view line) {
  if (!line.starts_with('{')) return false;
  const auto object = nlohmann::json::parse(line, nullptr, false);
  return object.is_object() && object.contains("step") && object["step"].is_number_integer() &&
         object["step"].get<std::int64_t>() > kLastStep;
}

/// Returns how many lines are evaluations.
int check_kept(std::string_view kept, std::string_view old) {
  require(kept.empty() || kept.back() == '\n', "no line is cut");
  int evaluations = 0;
  std::size_t position = 0;
  while (!kept.empty()) {
    const std::string_view line = kept.substr(0, kept.find('\n'));
    kept.remove_prefix(line.size() + 1);
    position = find_line(old, position, line);
    require(!is_later(line), "no line is of a step still to come");
    if (line.find("\"loss\":") == std::string_view::npos) ++evaluations;
  }
  return evaluations;
}

}  // namespace

void metrics(std::string_view input) {
  static const Scratch scratch;
  const auto file = scratch.put("metrics.jsonl", input);
  accept_or_refuse([&] {
    { const train::MetricsLog log(file, kLastStep); }
    const std::string kept = contents_of(file);
    const int evaluations = check_kept(kept, input);
    { const train::MetricsLog log(file, kLastStep); }
    require(contents_of(file) == kept, "a second look changes nothing");

    { train::MetricsLog(file, kLastStep, {}, kSmallLimit).sync(); }
    const std::string thinned = contents_of(file);
    require(thinned.size() <= kept.size(), "a thinned file is no longer");
    require(check_kept(thinned, kept) == evaluations, "thinning loses no evaluation");
  });
}

}  // namespace cajal::fuzz
