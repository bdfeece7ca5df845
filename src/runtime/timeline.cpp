#include "cajal/timeline.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <fstream>
#include <mutex>
#include <system_error>
#include <utility>

#include "cajal/error.h"
#include "runtime/backend.h"
#include "runtime/chrome_trace.h"

namespace cajal {
namespace {

constexpr std::size_t kRing = 4096;  // Spans kept while not tracing.

/// The wait that overlaps [began, ended] for longest. Waits follow each other: one host thread
/// makes them.
std::optional<WaitSpan> wait_within(const std::deque<WaitSpan>& waits, Clock began, Clock ended) {
  std::optional<WaitSpan> found;
  Clock longest = 0;
  auto wait = std::partition_point(waits.begin(), waits.end(),
                                   [began](const WaitSpan& w) { return w.ended <= began; });
  for (; wait != waits.end() && wait->began < ended; ++wait) {
    const Clock common = std::min(wait->ended, ended) - std::max(wait->began, began);
    if (common <= longest) continue;
    longest = common;
    found = *wait;
  }
  return found;
}

}  // namespace

Clock now() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
}

std::string_view name_of(WaitReason reason) {
  switch (reason) {
    case WaitReason::back_pressure:
      return "back_pressure";
    case WaitReason::evaluation:
      return "evaluation";
    case WaitReason::checkpoint:
      return "checkpoint";
    case WaitReason::generation:
      return "generation";
    case WaitReason::shutdown:
      return "shutdown";
    case WaitReason::every_op:
      return "every_op";
    case WaitReason::tuning:
      return "tuning";
    case WaitReason::data:
      return "data";
  }
  return "unknown";
}

std::int64_t Usage::host_waits() const {
  std::int64_t total = 0;
  for (const WaitCount& wait : waits) total += wait.count;
  return total;
}

std::int64_t Usage::blocked_ns() const {
  std::int64_t total = 0;
  for (const WaitCount& wait : waits) total += wait.blocked_ns;
  return total;
}

double Usage::device_busy(const Usage& since) const {
  const Usage between = *this - since;
  if (between.at <= 0) return 0.0;
  const double share = static_cast<double>(between.busy_ns) / static_cast<double>(between.at);
  return std::clamp(share, 0.0, 1.0);
}

Usage operator-(const Usage& later, const Usage& earlier) {
  Usage between;
  between.at = later.at - earlier.at;
  between.busy_ns = later.busy_ns - earlier.busy_ns;
  between.submissions = later.submissions - earlier.submissions;
  for (std::size_t i = 0; i < between.waits.size(); ++i) {
    between.waits[i].count = later.waits[i].count - earlier.waits[i].count;
    between.waits[i].blocked_ns = later.waits[i].blocked_ns - earlier.waits[i].blocked_ns;
  }
  return between;
}

struct Timeline::State {
  mutable std::mutex mutex;
  std::atomic<bool> tracing{false};
  Usage totals;
  Clock busy_until = 0;
  std::deque<SubmissionSpan> submissions;
  std::deque<WaitSpan> waits;
  std::deque<BackgroundSpan> background;

  template <class Span>
  void keep(std::deque<Span>& spans, Span span) {
    spans.push_back(std::move(span));
    if (!tracing && spans.size() > kRing) spans.pop_front();
  }
};

Timeline::Timeline() : state_(std::make_unique<State>()) {}
Timeline::~Timeline() = default;

void Timeline::start_trace() { state_->tracing = true; }
bool Timeline::tracing() const { return state_->tracing; }

Usage Timeline::usage() const {
  const std::lock_guard lock(state_->mutex);
  Usage usage = state_->totals;
  usage.at = now();
  return usage;
}

void Timeline::add(SubmissionSpan span) {
  const std::lock_guard lock(state_->mutex);
  const Clock from = std::max(span.started, state_->busy_until);
  state_->totals.busy_ns += std::max<Clock>(0, span.completed - from);
  state_->totals.submissions += 1;
  state_->busy_until = std::max(state_->busy_until, span.completed);
  state_->keep(state_->submissions, std::move(span));
}

void Timeline::add(WaitSpan span) {
  const std::lock_guard lock(state_->mutex);
  WaitCount& wait = state_->totals.waits[static_cast<std::size_t>(span.reason)];
  wait.count += 1;
  wait.blocked_ns += span.ended - span.began;
  state_->keep(state_->waits, span);
}

void Timeline::add(BackgroundSpan span) {
  const std::lock_guard lock(state_->mutex);
  state_->keep(state_->background, std::move(span));
}

std::vector<SubmissionSpan> Timeline::submissions() const {
  const std::lock_guard lock(state_->mutex);
  return {state_->submissions.begin(), state_->submissions.end()};
}

std::vector<IdleGap> Timeline::idle_gaps() const {
  const std::lock_guard lock(state_->mutex);
  std::vector<IdleGap> gaps;
  Clock busy_until = 0;
  for (const SubmissionSpan& span : state_->submissions) {
    if (busy_until != 0 && span.started > busy_until) {
      IdleGap gap{busy_until, span.started, std::nullopt};
      if (span.committed > busy_until) {
        gap.cause = wait_within(state_->waits, busy_until, span.committed);
      }
      gaps.push_back(gap);
    }
    busy_until = std::max(busy_until, span.completed);
  }
  return gaps;
}

void Timeline::write_chrome_trace(const std::filesystem::path& file) const {
  std::unique_lock lock(state_->mutex);
  const std::vector<SubmissionSpan> submissions(state_->submissions.begin(),
                                                state_->submissions.end());
  const std::vector<WaitSpan> waits(state_->waits.begin(), state_->waits.end());
  const std::vector<BackgroundSpan> background(state_->background.begin(),
                                               state_->background.end());
  lock.unlock();

  std::filesystem::path temporary = file;
  temporary += fmt::format(".{}.tmp", ::getpid());
  std::error_code problem;
  {
    std::ofstream out(temporary, std::ios::binary);
    cajal::write_chrome_trace(out, submissions, waits, background);
    out.close();
    if (out) std::filesystem::rename(temporary, file, problem);
    if (out && !problem) return;
  }
  std::error_code ignored;
  std::filesystem::remove(temporary, ignored);
  throw Error(fmt::format("cannot write the trace {}", file.string()),
              "give --trace a file in an existing, writable directory");
}

}  // namespace cajal
