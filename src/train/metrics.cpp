#include "train/metrics.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

namespace cajal::train {

namespace {

using nlohmann::ordered_json;

ordered_json finite_or_null(double value) {
  return std::isfinite(value) ? ordered_json(value) : ordered_json(nullptr);
}

bool belongs(std::string_view line, std::int64_t last_step) {
  if (!line.starts_with('{')) return false;  // Before the parser, which is slow to begin and end.
  const auto object = nlohmann::json::parse(line, nullptr, false);
  if (!object.is_object()) return false;
  const auto step = object.find("step");
  return step != object.end() && step->is_number_integer() &&
         step->get<std::int64_t>() <= last_step;
}

void drop_later_lines(const std::filesystem::path& file, std::int64_t last_step) {
  const std::string old = read_file(file);
  std::string kept;
  kept.reserve(old.size());
  for (std::size_t begin = 0; begin < old.size();) {
    const std::size_t newline = old.find('\n', begin);
    if (newline == std::string::npos) break;  // Cut.
    const auto line = std::string_view(old).substr(begin, newline - begin);
    if (belongs(line, last_step)) kept.append(line).push_back('\n');
    begin = newline + 1;
  }
  if (kept.size() != old.size()) write_file_atomically(file, kept);
}

}  // namespace

MetricsLog::MetricsLog(std::filesystem::path file, std::int64_t last_step)
    : file_(std::move(file)) {
  if (std::filesystem::exists(file_)) drop_later_lines(file_, last_step);
  fd_ = open_file(file_, O_WRONLY | O_CREAT | O_APPEND, "create");
}

void MetricsLog::write(const StepReport& report) {
  append(ordered_json{{"step", report.step},
                      {"loss", finite_or_null(report.loss)},
                      {"grad_norm", finite_or_null(report.grad_norm)},
                      {"lr", finite_or_null(report.learning_rate)},
                      {"tokens_per_s", finite_or_null(report.tokens_per_s)},
                      {"device_busy", finite_or_null(report.device_busy)},
                      {"host_waits", report.host_waits},
                      {"host_blocked_ms", finite_or_null(report.host_blocked_ms)},
                      {"skipped", report.skipped}}
             .dump());
}

void MetricsLog::write(const EvalReport& report) {
  append(ordered_json{{"step", report.step}, {"val_loss", finite_or_null(report.loss)}}.dump());
}

void MetricsLog::write(const CheckpointReport& report) {
  append(ordered_json{{"step", report.step},
                      {"checkpoint",
                       {{"bytes", report.bytes},
                        {"device_ms", finite_or_null(report.device_ms)},
                        {"blocked_ms", finite_or_null(report.blocked_ms)},
                        {"write_s", finite_or_null(report.write_s)}}}}
             .dump());
}

void MetricsLog::append(const std::string& line) {
  const std::string text = line + '\n';
  const off_t end = ::lseek(fd_.get(), 0, SEEK_END);
  try {
    write_all(fd_.get(), std::as_bytes(std::span(text)), file_);
  } catch (...) {
    // Where even this fails, the cut line is dropped at the next start.
    [[maybe_unused]] const bool taken_back = end >= 0 && ::ftruncate(fd_.get(), end) == 0;
    throw;
  }
}

void MetricsLog::sync() {
  if (const int error = flush_to_disk(fd_.get())) throw_file_error("write", file_, error);
}

}  // namespace cajal::train
