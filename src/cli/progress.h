// The progress line: what is on it, and when it is drawn.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "train/trainer.h"

namespace cajal::cli {

/// A training step as the live line shows it.
struct ProgressView {
  std::int64_t step = 0;
  std::int64_t steps = 0;  ///< 0: not known.
  double share = 0.0;      ///< Of the whole run, in [0, 1].
  double loss = 0.0;
  double tokens_per_s = 0.0;
  double device_busy = 0.0;
  std::int64_t host_waits = 0;
  std::optional<double> seconds_left;
};

/// At most `width` columns. What matters least goes first when there is no room for everything.
std::string render_progress(const ProgressView& view, int width, bool color);

/// The same for work before the first step: its name, a bar and per cent.
std::string render_stage(std::string_view stage, double share, int width, bool color);

/// A step as a line of its own, for output that is not a terminal.
std::string plain_step(const train::StepReport& report, std::int64_t steps);

/// Says when to redraw: at once, then at most ten times a second.
class Throttle {
 public:
  using Time = std::chrono::steady_clock::time_point;
  bool due(Time now);

 private:
  std::optional<Time> last_;
};

/// Estimates the time that is left from the pace so far.
class Pace {
 public:
  using Time = std::chrono::steady_clock::time_point;
  Pace(Time start, std::int64_t start_step) : start_(start), start_step_(start_step) {}
  /// Nothing until a step has been timed.
  std::optional<double> seconds_left(Time now, std::int64_t step, std::int64_t steps) const;
  double seconds_since_start(Time now) const;

 private:
  Time start_;
  std::int64_t start_step_;
};

}  // namespace cajal::cli
