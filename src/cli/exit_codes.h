// What the process tells its caller.
#pragma once

namespace cajal::cli {

inline constexpr int kSuccess = 0;
inline constexpr int kFailure = 1;  ///< Something failed at run time.
inline constexpr int kUsage = 2;    ///< The request cannot be: a wrong flag, a missing file.
inline constexpr int kOutputClosed =
    141;  ///< Nobody reads standard output any more: 128 + SIGPIPE.

/// Ended by a signal, after the checkpoint was saved: 130 for SIGINT, 143 for SIGTERM.
constexpr int exit_code_of_signal(int signal) { return 128 + signal; }

}  // namespace cajal::cli
