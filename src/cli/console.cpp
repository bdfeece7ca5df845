#include "cli/console.h"

#include <fmt/format.h>

namespace cajal::cli {
namespace {

// The cursor rests at the live line's first column. So a terminal that grew narrower and folded the
// line has left the cursor on its first row, and erasing downwards takes all of it.
constexpr std::string_view kEraseDown = "\x1b[J\r";

}  // namespace

Console::Console(Streams streams) : out_(streams.out), err_(streams.err) {}

Console::~Console() { clear(); }

void Console::print(std::string_view text) {
  const std::lock_guard lock(mutex_);
  clear_locked();
  out_.write(text);
}

void Console::line(std::string_view text) {
  const std::lock_guard lock(mutex_);
  put(out_, text);
}

void Console::diagnose(std::string_view text) {
  const std::lock_guard lock(mutex_);
  put(err_, text);
}

void Console::put(Output& output, std::string_view text) {
  const std::string redraw = drawn_;
  clear_locked();
  output.write(fmt::format("{}\n", text));
  if (!redraw.empty()) {
    out_.write(redraw);
    drawn_ = redraw;
  }
}

void Console::draw(std::string_view text) {
  if (!live()) return;
  const std::lock_guard lock(mutex_);
  // One write, text before erasure: no flicker.
  drawn_ = fmt::format("\r{}{}", text, kEraseDown);
  out_.write(drawn_);
}

void Console::clear() {
  const std::lock_guard lock(mutex_);
  clear_locked();
}

void Console::clear_locked() {
  if (drawn_.empty()) return;
  out_.write(kEraseDown);
  drawn_.clear();
}

bool Console::closed() const {
  const std::lock_guard lock(mutex_);
  return out_.closed();
}

int Console::output_error() const {
  const std::lock_guard lock(mutex_);
  return out_.error();
}

}  // namespace cajal::cli
