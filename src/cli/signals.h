// SIGINT, SIGTERM and SIGHUP as a request to end.
#pragma once

#include <signal.h>

#include <array>
#include <atomic>
#include <string_view>

namespace cajal::cli {

/// While it lives, the first of these signals sets stop(); a second one ends the process at once
/// with 128 + its number. At most one at a time: a signal handler can only reach memory that lives
/// for ever. What the process was told to ignore (nohup) stays ignored.
class SignalTrap {
 public:
  /// `notice` is written to `terminal` on the first signal when that is a terminal; it must be a
  /// literal. Throws Error when another trap lives.
  SignalTrap(const char* notice, int terminal);
  ~SignalTrap();
  SignalTrap(const SignalTrap&) = delete;
  SignalTrap& operator=(const SignalTrap&) = delete;

  /// Another notice from here on, a literal too.
  void set_notice(const char* notice);

  const std::atomic<bool>& stop() const;
  void request_stop();   ///< As if a signal had come, for other reasons to end.
  int received() const;  ///< The first signal, or 0.

 private:
  static constexpr std::array kSignals{SIGINT, SIGTERM, SIGHUP};
  std::array<struct sigaction, kSignals.size()> before_{};
};

/// Writing to a closed pipe (SIGPIPE) or beyond the file size limit (SIGXFSZ) becomes an error of
/// the write instead of the end of the process.
class WriteSignalsIgnored {
 public:
  WriteSignalsIgnored();
  ~WriteSignalsIgnored();
  WriteSignalsIgnored(const WriteSignalsIgnored&) = delete;
  WriteSignalsIgnored& operator=(const WriteSignalsIgnored&) = delete;

 private:
  static constexpr std::array kSignals{SIGPIPE, SIGXFSZ};
  std::array<struct sigaction, kSignals.size()> before_{};
};

}  // namespace cajal::cli
