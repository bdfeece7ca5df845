#include "train/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <utility>

#include "cajal/error.h"

namespace cajal::train {

namespace {

constexpr std::array<std::pair<ScheduleKind, std::string_view>, 4> kNames{
    {{ScheduleKind::constant, "constant"},
     {ScheduleKind::cosine, "cosine"},
     {ScheduleKind::linear, "linear"},
     {ScheduleKind::wsd, "wsd"}}};

/// 0 while the rate is at its peak, 1 at the last step and after it.
double decay_progress(const Schedule& schedule, std::int64_t step) {
  const std::int64_t last = schedule.steps - 1;
  std::int64_t peak_until = schedule.warmup;  // The last step that gets the whole peak.
  if (schedule.kind == ScheduleKind::wsd) {
    const std::int64_t decay = std::llround(static_cast<double>(schedule.decay_share) *
                                            static_cast<double>(schedule.steps));
    if (decay <= 0) return 0.0;
    peak_until = std::max(schedule.warmup - 1, last - decay);
  }
  if (step >= last) return 1.0;
  if (step <= peak_until) return 0.0;
  return static_cast<double>(step - peak_until) / static_cast<double>(last - peak_until);
}

}  // namespace

ScheduleKind parse_schedule(std::string_view name) {
  for (const auto& [kind, known] : kNames) {
    if (known == name) return kind;
  }
  throw InvalidArgument(fmt::format("unknown schedule \"{}\"", name),
                        "use constant, cosine, linear or wsd");
}

std::string_view name_of(ScheduleKind kind) {
  for (const auto& [known, name] : kNames) {
    if (known == kind) return name;
  }
  throw InvalidArgument(fmt::format("no schedule has the number {}", static_cast<int>(kind)));
}

float Schedule::at(std::int64_t step) const {
  if (step < warmup) {
    const auto done = static_cast<double>(std::max<std::int64_t>(step, 0) + 1);
    return static_cast<float>(peak * done / static_cast<double>(warmup));
  }
  if (steps <= 0 || kind == ScheduleKind::constant) return peak;
  const double progress = decay_progress(*this, step);
  const double share = kind == ScheduleKind::cosine
                           ? 0.5 * (1.0 + std::cos(std::numbers::pi * progress))
                           : 1.0 - progress;
  return static_cast<float>(peak * (floor + (1.0 - floor) * share));
}

}  // namespace cajal::train
