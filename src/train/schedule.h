// Learning-rate schedules with warm-up.
#pragma once

#include <cstdint>
#include <string_view>

namespace cajal::train {

enum class ScheduleKind : std::uint8_t { constant, cosine, linear, wsd };

/// "constant", "cosine", "linear", "wsd"; throws InvalidArgument that lists them.
ScheduleKind parse_schedule(std::string_view name);
std::string_view name_of(ScheduleKind kind);

/// Warm-up rises linearly from 0 over `warmup` steps: step 0 gets peak/warmup, never 0. Then
///   constant  peak
///   linear    down to floor * peak at the last step
///   cosine    half a cosine down to floor * peak (Loshchilov and Hutter 2017)
///   wsd       peak, then over the last `decay_share` of all steps linearly down to floor * peak
///             (warm-up, stable, decay: Hu et al. 2024)
struct Schedule {
  ScheduleKind kind = ScheduleKind::cosine;
  float peak = 3e-4F;
  std::int64_t warmup = 0;
  std::int64_t steps = 0;    ///< Total; with 0 (a run bounded by time) every kind stays at peak.
  float floor = 0.1F;        ///< Share of peak at the end.
  float decay_share = 0.2F;  ///< wsd only.

  /// Rate for update `step`, from 0. A function of the step alone, so that resume agrees.
  float at(std::int64_t step) const;
};

}  // namespace cajal::train
