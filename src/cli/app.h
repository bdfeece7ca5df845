// The program `cajal`, as a function.
#pragma once

#include <unistd.h>

#include <span>

#include "cli/engine.h"

namespace cajal::cli {

struct Streams {
  int out = STDOUT_FILENO;
  int err = STDERR_FILENO;
};

/// Runs one command line (arguments[0] is the program's name) and returns its exit code. Never
/// throws: whatever goes wrong becomes one line on the error stream.
int run(std::span<const char* const> arguments, const Engine& engine, Streams streams = {});

}  // namespace cajal::cli
