#include "cli/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "cli/format.h"

namespace cajal::cli {
namespace {

constexpr int kNarrowestBar = 6;
constexpr int kWidestBar = 40;
constexpr std::string_view kGreen = "\x1b[32m";
constexpr std::string_view kPlain = "\x1b[0m";

// "[=====>    ]", exactly `width` columns without the color.
std::string bar(double share, int width, bool color) {
  const int room = width - 2;
  const double safe = std::isfinite(share) ? std::clamp(share, 0.0, 1.0) : 0.0;
  const int filled = static_cast<int>(std::lround(safe * room));
  std::string done(static_cast<std::size_t>(filled), '=');
  if (filled > 0 && filled < room) done.back() = '>';
  const std::string open(static_cast<std::size_t>(room - filled), ' ');
  if (color && filled > 0) done = fmt::format("{}{}{}", kGreen, done, kPlain);
  return fmt::format("[{}{}]", done, open);
}

std::string cut(std::string text, int width) {
  text.resize(std::min(text.size(), static_cast<std::size_t>(std::max(width, 0))));
  return text;
}

// `text` with a bar before it, where there is room for one.
std::string with_bar(const std::string& text, double share, int width, bool color) {
  const int room = std::min(width - static_cast<int>(text.size()) - 2, kWidestBar);
  if (room < kNarrowestBar) return cut(text, width);
  return bar(share, room, color) + "  " + text;
}

struct Part {
  std::string text;
  int rank;  ///< 0 stays longest.
};

std::string join(const std::array<Part, 6>& parts, int worst_rank) {
  std::string line;
  for (const Part& part : parts) {
    if (part.rank > worst_rank || part.text.empty()) continue;
    line += line.empty() ? part.text : "  " + part.text;
  }
  return line;
}

std::string step_text(std::int64_t step, std::int64_t steps) {
  return steps > 0 ? fmt::format("step {}/{}", step, steps) : fmt::format("step {}", step);
}

}  // namespace

std::string render_progress(const ProgressView& view, int width, bool color) {
  const std::string left =
      view.seconds_left ? "left " + format_duration(*view.seconds_left) : std::string();
  const std::array<Part, 6> parts{{
      {step_text(view.step, view.steps), 0},
      {"loss " + format_loss(view.loss), 1},
      {format_count(view.tokens_per_s) + " tok/s", 3},
      {fmt::format("busy {:.0f}%", 100.0 * view.device_busy), 4},
      {fmt::format("waits {}", view.host_waits), 5},
      {left, 2},
  }};
  int rank = static_cast<int>(parts.size()) - 1;
  while (rank > 0 && static_cast<int>(join(parts, rank).size()) > width) --rank;
  return with_bar(join(parts, rank), view.share, width, color);
}

std::string render_stage(std::string_view stage, double share, int width, bool color) {
  const double safe = std::isfinite(share) ? std::clamp(share, 0.0, 1.0) : 0.0;
  return with_bar(fmt::format("{:3.0f}%  {}", 100.0 * safe, stage), safe, width, color);
}

std::string plain_step(const train::StepReport& report, std::int64_t steps) {
  std::string line = fmt::format(
      "{} loss {} grad_norm {:.3g} lr {:.3g} tokens/s {:.0f} device_busy {:.3f} host_waits {} "
      "blocked_ms {:.2f}",
      step_text(report.step, steps), format_loss(report.loss), report.grad_norm,
      report.learning_rate, report.tokens_per_s, report.device_busy, report.host_waits,
      report.host_blocked_ms);
  if (report.skipped > 0) line += fmt::format(" skipped {}", report.skipped);
  return line;
}

bool Throttle::due(Time now) {
  constexpr auto kInterval = std::chrono::milliseconds(100);
  if (last_ && now - *last_ < kInterval) return false;
  last_ = now;
  return true;
}

std::optional<double> Pace::seconds_left(Time now, std::int64_t step, std::int64_t steps) const {
  if (step <= start_step_ || steps <= 0) return std::nullopt;
  const double per_step = seconds_since_start(now) / static_cast<double>(step - start_step_);
  return per_step * static_cast<double>(std::max<std::int64_t>(steps - step, 0));
}

double Pace::seconds_since_start(Time now) const {
  return std::chrono::duration<double>(now - start_).count();
}

}  // namespace cajal::cli
