// Lines on two streams, and one live line that they never tear.
#pragma once

#include <mutex>
#include <string>
#include <string_view>

#include "cli/app.h"
#include "cli/output.h"

namespace cajal::cli {

/// Thread-safe. The live line is the last one on the screen; every other line appears above it.
class Console {
 public:
  explicit Console(Streams streams);
  ~Console();  ///< Takes the live line away.
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  void print(std::string_view text);     ///< To standard output as it is.
  void line(std::string_view text);      ///< To standard output, with a line end.
  void diagnose(std::string_view text);  ///< To standard error, with a line end.

  /// True when standard output is a terminal that can redraw a line.
  bool live() const { return out_.is_terminal(); }
  bool diagnostics_are_seen() const { return err_.is_terminal(); }
  bool color() const { return out_.takes_color(); }
  /// Columns for a live line: one less than the terminal has, because a full last column makes some
  /// terminals wrap.
  int columns() const { return out_.columns() - 1; }

  /// Replaces the live line; `text` must fit in columns(). Nothing unless live().
  void draw(std::string_view text);
  void clear();

  bool closed() const;  ///< Nobody reads standard output any more.
  int output_error() const;

 private:
  void put(Output& output, std::string_view text);
  void clear_locked();

  mutable std::mutex mutex_;
  Output out_;
  Output err_;
  std::string drawn_;
};

}  // namespace cajal::cli
