// A file descriptor that is written to, whatever stands behind it.
#pragma once

#include <string_view>

namespace cajal::cli {

/// Unbuffered: one write() a call, so that a line is whole for whoever reads it. Not thread-safe.
class Output {
 public:
  explicit Output(int descriptor);

  /// Never throws. After the first failure the rest is dropped; error() tells.
  void write(std::string_view text);

  int error() const { return error_; }  ///< errno of the first failure, or 0.
  bool closed() const;                  ///< The reader has gone (EPIPE).

  bool is_terminal() const { return terminal_; }  ///< One that can redraw a line.
  bool takes_color() const { return color_; }     ///< A terminal, and NO_COLOR is not set.
  int columns() const;                            ///< As wide as it is now; 80 where unknown.

 private:
  int descriptor_;
  int error_ = 0;
  bool terminal_ = false;
  bool color_ = false;
};

}  // namespace cajal::cli
