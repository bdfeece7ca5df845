// What ran when, what the device waited for, and what the host waited for.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cajal/command_buffer.h"

namespace cajal {

/// Why the host waited. There is no "other": a wait without a reason is a defect.
enum class WaitReason : std::uint8_t {
  back_pressure,  ///< max_in_flight steps are outstanding.
  evaluation,     ///< A held-out loss is needed now.
  checkpoint,     ///< Weights are about to be written, or the last ones are not on the disk yet.
  generation,     ///< A sampled token is needed now.
  shutdown,       ///< The queue is being closed, or the last step awaited.
  every_op,       ///< --sync every-op: the wait after each operation that this project abolishes.
  tuning,         ///< A library's algorithms are being timed, before the first replay.
  data,           ///< The next batch is not ready yet.
};
inline constexpr int kWaitReasons = 8;
std::string_view name_of(WaitReason reason);

struct WaitCount {
  std::int64_t count = 0;       ///< Calls that found the work unfinished and blocked.
  std::int64_t blocked_ns = 0;  ///< Time the host stood in them.
};

/// Totals up to a moment. The difference of two is the usage between them.
struct Usage {
  Clock at = 0;                  ///< The moment; in a difference the time between the two.
  std::int64_t busy_ns = 0;      ///< Device was executing what has completed.
  std::int64_t submissions = 0;  ///< Completed.
  std::array<WaitCount, kWaitReasons> waits{};

  std::int64_t host_waits() const;
  std::int64_t blocked_ns() const;
  /// Share of wall time in which the device was executing, in [0, 1].
  double device_busy(const Usage& since) const;
};
Usage operator-(const Usage& later, const Usage& earlier);

struct OperationSpan {
  std::string operation;
  Clock started = 0;
  Clock completed = 0;
};

struct SubmissionSpan {
  Ticket ticket = 0;
  std::int64_t step = 0;
  std::string label;    ///< The command buffer's.
  Clock recorded = 0;   ///< Its last operation was encoded.
  Clock committed = 0;  ///< commit() began.
  Clock submitted = 0;  ///< The device was given it.
  Clock started = 0;
  Clock completed = 0;
  std::vector<OperationSpan> operations;  ///< Only while tracing.
};

struct WaitSpan {
  WaitReason reason = WaitReason::shutdown;
  Ticket ticket = 0;
  Clock began = 0;
  Clock ended = 0;
};

/// What a thread beside the host's did meanwhile, such as writing a checkpoint's files.
struct BackgroundSpan {
  std::string name;
  Clock began = 0;
  Clock ended = 0;
};

/// The device had nothing to run.
struct IdleGap {
  Clock began = 0;
  Clock ended = 0;
  /// The host wait that stood in the way, if the next work was committed only after the gap began.
  std::optional<WaitSpan> cause;
};

/// Thread-safe. Keeps totals for ever and the last spans in a ring; all spans while tracing.
class Timeline {
 public:
  Timeline();
  ~Timeline();
  Timeline(const Timeline&) = delete;
  Timeline& operator=(const Timeline&) = delete;

  /// Keep every span and the time of every operation from now on.
  void start_trace();
  bool tracing() const;

  Usage usage() const;
  std::vector<IdleGap> idle_gaps() const;           ///< Among the spans kept.
  std::vector<SubmissionSpan> submissions() const;  ///< Those kept, in the order completed.

  /// Chrome trace JSON (opens in Perfetto): a host lane with commits and waits, marked with their
  /// reason, a device lane with submissions and operations, and a lane for what went on in the
  /// background. Written whole or not at all.
  void write_chrome_trace(const std::filesystem::path& file) const;

  /// For the runtime, and for whoever else has the host wait or works beside it.
  void add(SubmissionSpan span);
  void add(WaitSpan span);
  void add(BackgroundSpan span);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cajal
