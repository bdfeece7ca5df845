#include "runtime/chrome_trace.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

namespace cajal {
namespace {

using Json = nlohmann::json;

constexpr int kProcess = 1;
enum Lane : int { kHost = 1, kDevice = 2, kBackground = 3 };

/// Writes one event a line, so that a long trace needs no second copy in memory.
class Writer {
 public:
  Writer(std::ostream& out, Clock origin) : out_(out), origin_(origin) {}

  void name(Lane lane, std::string_view text) {
    put({{"ph", "M"}, {"name", "thread_name"}, {"tid", lane}, {"args", {{"name", text}}}});
    put({{"ph", "M"},
         {"name", "thread_sort_index"},
         {"tid", lane},
         {"args", {{"sort_index", lane}}}});
  }
  void process(std::string_view text) {
    put({{"ph", "M"}, {"name", "process_name"}, {"args", {{"name", text}}}});
  }
  void slice(Lane lane, std::string_view category, const std::string& text, Clock from, Clock to,
             Json args) {
    put({{"ph", "X"},
         {"cat", category},
         {"name", text},
         {"tid", lane},
         {"ts", microseconds(from - origin_)},
         {"dur", microseconds(to - from)},
         {"args", std::move(args)}});
  }
  /// An arrow from the commit on the host to the start on the device.
  void flow(Ticket ticket, Clock from, Clock to) {
    Json start = {{"ph", "s"}, {"cat", "commit"}, {"name", "commit"}, {"id", ticket}};
    Json finish = start;
    start.update({{"tid", kHost}, {"ts", microseconds(from - origin_)}});
    finish.update({{"ph", "f"}, {"bp", "e"}, {"tid", kDevice}, {"ts", microseconds(to - origin_)}});
    put(std::move(start));
    put(std::move(finish));
  }

 private:
  static double microseconds(Clock nanoseconds) { return static_cast<double>(nanoseconds) / 1e3; }

  void put(Json event) {
    event["pid"] = kProcess;
    out_ << (std::exchange(first_, false) ? "\n" : ",\n")
         << event.dump(-1, ' ', false, Json::error_handler_t::replace);
  }

  std::ostream& out_;
  Clock origin_;
  bool first_ = true;
};

Clock first_clock(const std::vector<SubmissionSpan>& submissions,
                  const std::vector<WaitSpan>& waits,
                  const std::vector<BackgroundSpan>& background) {
  constexpr Clock kNone = std::numeric_limits<Clock>::max();
  Clock first = kNone;
  for (const SubmissionSpan& span : submissions) first = std::min(first, span.committed);
  for (const WaitSpan& span : waits) first = std::min(first, span.began);
  for (const BackgroundSpan& span : background) first = std::min(first, span.began);
  return first == kNone ? 0 : first;
}

void write_submission(Writer& writer, const SubmissionSpan& span) {
  const Json args = {{"ticket", span.ticket}, {"step", span.step}};
  writer.slice(kHost, "commit", "commit " + span.label, span.committed, span.submitted, args);
  writer.slice(kDevice, "submission", span.label, span.started, span.completed, args);
  for (const OperationSpan& operation : span.operations) {
    writer.slice(kDevice, "operation", operation.operation, operation.started, operation.completed,
                 {{"step", span.step}});
  }
  writer.flow(span.ticket, span.submitted, span.started);
}

}  // namespace

void write_chrome_trace(std::ostream& out, const std::vector<SubmissionSpan>& submissions,
                        const std::vector<WaitSpan>& waits,
                        const std::vector<BackgroundSpan>& background) {
  out << R"({"displayTimeUnit":"ms","traceEvents":[)";
  Writer writer(out, first_clock(submissions, waits, background));
  writer.process("cajal");
  writer.name(kHost, "host");
  writer.name(kDevice, "device");
  if (!background.empty()) writer.name(kBackground, "background");
  for (const SubmissionSpan& span : submissions) write_submission(writer, span);
  for (const WaitSpan& span : waits) {
    const std::string reason(name_of(span.reason));
    writer.slice(kHost, "wait", "wait: " + reason, span.began, span.ended,
                 {{"reason", reason}, {"ticket", span.ticket}});
  }
  for (const BackgroundSpan& span : background) {
    writer.slice(kBackground, "background", span.name, span.began, span.ended, Json::object());
  }
  out << "\n]}\n";
}

}  // namespace cajal
