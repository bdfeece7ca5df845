// Runs part of a test in a process of its own.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>

namespace cajal::train {

/// In a forked child: 0, 1 when an expectation or an exception failed, whatever it gave to _exit,
/// or 128 + the signal that ended it.
template <class Function>
int in_child(Function function) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    bool failed = false;
    try {
      function();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
      failed = true;
    }
    failed = failed || testing::Test::HasFailure();
    std::fflush(nullptr);
    ::_exit(failed ? 1 : 0);
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child) return -1;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace cajal::train
