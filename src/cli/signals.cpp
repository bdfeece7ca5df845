#include "cli/signals.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cajal/error.h"
#include "cli/exit_codes.h"

namespace cajal::cli {
namespace {

// All that the handler may touch: lock-free, and there before and after any trap.
std::atomic<bool> trapped{false};
std::atomic<bool> stop_requested{false};
std::atomic<int> first_signal{0};
std::atomic<const char*> first_notice{nullptr};
std::atomic<int> notice_terminal{-1};
static_assert(std::atomic<const char*>::is_always_lock_free &&
              std::atomic<int>::is_always_lock_free);

// Erases the live line, whose first column holds the cursor, and tells.
void write_notice(const char* text) {
  const int terminal = notice_terminal.load();
  if (terminal < 0) return;
  constexpr char kErase[] = "\r\x1b[J";
  const bool erased = ::write(terminal, kErase, sizeof(kErase) - 1) > 0;
  if (erased && text != nullptr && ::write(terminal, text, std::strlen(text)) < 0) return;
}

}  // namespace

extern "C" {
static void cajal_on_signal(int signal) {
  const int saved = errno;
  int none = 0;
  if (!first_signal.compare_exchange_strong(none, signal)) {
    write_notice(nullptr);
    ::_exit(exit_code_of_signal(signal));
  }
  stop_requested.store(true);
  write_notice(first_notice.load());
  errno = saved;
}
}

SignalTrap::SignalTrap(const char* notice, int terminal) {
  if (trapped.exchange(true)) throw Error("signals are trapped already");
  stop_requested.store(false);
  first_signal.store(0);
  first_notice.store(notice);
  notice_terminal.store(::isatty(terminal) == 1 ? terminal : -1);
  struct sigaction action {};
  action.sa_handler = &cajal_on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    ::sigaction(kSignals[i], nullptr, &before_[i]);
    if (before_[i].sa_handler != SIG_IGN) ::sigaction(kSignals[i], &action, nullptr);
  }
}

SignalTrap::~SignalTrap() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
  trapped.store(false);
}

void SignalTrap::set_notice(const char* notice) { first_notice.store(notice); }

const std::atomic<bool>& SignalTrap::stop() const { return stop_requested; }

void SignalTrap::request_stop() { stop_requested.store(true); }

int SignalTrap::received() const { return first_signal.load(); }

WriteSignalsIgnored::WriteSignalsIgnored() {
  struct sigaction action {};
  action.sa_handler = SIG_IGN;
  for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &action, &before_[i]);
}

WriteSignalsIgnored::~WriteSignalsIgnored() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
}

}  // namespace cajal::cli
