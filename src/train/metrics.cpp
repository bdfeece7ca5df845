#include "train/metrics.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
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

/// Whether the line is of a step after the last.
bool is_later(std::string_view line, std::int64_t last_step) {
  if (!line.starts_with('{')) return false;  // Before the parser, which is slow to begin and end.
  const auto object = nlohmann::json::parse(line, nullptr, false);
  if (!object.is_object()) return false;
  const auto step = object.find("step");
  return step != object.end() && step->is_number_integer() && step->get<std::int64_t>() > last_step;
}

/// An evaluation's has val_loss.
bool is_step(std::string_view line) { return line.find("\"loss\":") != std::string_view::npos; }

/// The lines for which `is_kept(line, its first byte)`, without one that is cut at the end.
template <class IsKept>
std::string kept_lines(std::string_view text, IsKept is_kept) {
  std::string kept;
  kept.reserve(text.size());
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t newline = text.find('\n', begin);
    if (newline == std::string_view::npos) break;
    const auto line = text.substr(begin, newline - begin);
    if (is_kept(line, begin)) kept.append(line).push_back('\n');
    begin = newline + 1;
  }
  return kept;
}

std::string thinned(std::string_view text) {
  bool second = false;
  return kept_lines(text, [&](std::string_view line, std::size_t begin) {
    if (begin >= text.size() / 2 || !is_step(line)) return true;
    second = !second;
    return second;
  });
}

std::string read_range(const std::filesystem::path& file, std::uint64_t begin, std::uint64_t end) {
  const FileDescriptor fd = open_file(file, O_RDONLY, "read");
  std::string text(static_cast<std::size_t>(end - begin), '\0');
  std::size_t filled = 0;
  while (filled < text.size()) {
    const ssize_t got = ::pread(fd.get(), text.data() + filled, text.size() - filled,
                                static_cast<off_t>(begin + filled));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_file_error("read", file, errno);
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  text.resize(filled);
  return text;
}

}  // namespace

MetricsLog::MetricsLog(std::filesystem::path file, std::int64_t last_step,
                       std::filesystem::path scratch, std::uint64_t limit)
    : file_(std::move(file)), scratch_(std::move(scratch)), thin_beyond_(limit) {
  if (std::filesystem::exists(file_)) {
    const std::string old = read_file(file_);
    const std::string kept = kept_lines(
        old, [&](std::string_view line, std::size_t) { return !is_later(line, last_step); });
    if (kept.size() != old.size()) {
      AtomicFile out(file_, temporary());
      out.write(kept);
      out.commit();
    }
  }
  fd_ = open_file(file_, O_WRONLY | O_CREAT | O_APPEND, "create");
}

std::filesystem::path MetricsLog::temporary() const {
  return scratch_.empty() ? temporary_name(file_) : scratch_ / random_id();
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
  const std::lock_guard lock(mutex_);
  const off_t end = ::lseek(fd_.get(), 0, SEEK_END);
  try {
    write_all(fd_.get(), std::as_bytes(std::span(text)), file_);
  } catch (...) {
    // Where even this fails, the cut line is dropped at the next start.
    [[maybe_unused]] const bool taken_back = end >= 0 && ::ftruncate(fd_.get(), end) == 0;
    throw;
  }
}

/// What is there is rewritten while lines are appended; those follow under the lock.
void MetricsLog::thin(std::uint64_t size) {
  const std::string kept = thinned(read_range(file_, 0, size));
  const std::filesystem::path name = temporary();
  FileDescriptor fd = open_file(name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, "create");
  try {
    write_all(fd.get(), std::as_bytes(std::span(kept)), file_);
    if (const int error = flush_to_disk(fd.get())) throw_file_error("write", file_, error);
    const std::lock_guard lock(mutex_);
    const std::string since = read_range(file_, size, std::filesystem::file_size(file_));
    write_all(fd.get(), std::as_bytes(std::span(since)), file_);
    if (::rename(name.c_str(), file_.c_str()) != 0) throw_file_error("write", file_, errno);
    fd_ = std::move(fd);
  } catch (...) {
    ::unlink(name.c_str());
    throw;
  }
  sync_directory(file_.parent_path());
  thin_beyond_ = std::max<std::uint64_t>(thin_beyond_, kept.size() + kept.size() / 4);
}

/// Not while a line is written: a write that crosses a page shows half of it.
std::uint64_t MetricsLog::whole_lines() {
  const std::lock_guard lock(mutex_);
  struct stat status = {};
  return ::fstat(fd_.get(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

void MetricsLog::sync() {
  const std::lock_guard syncing(syncing_);
  if (const std::uint64_t size = whole_lines(); size > thin_beyond_) {
    try {
      thin(size);
    } catch (const std::exception&) {
      thin_beyond_ = size + size / 4;
    }
  }
  if (const int error = flush_to_disk(fd_.get())) throw_file_error("write", file_, error);
}

}  // namespace cajal::train
