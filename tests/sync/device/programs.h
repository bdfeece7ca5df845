// The table that the test writes: programs to run, by name.
#pragma once

#include <vector>

struct Program {
  const char* name;
  int (*run)();
  bool stop_at_two;  ///< It is enough to know that outputs differ.
};

extern const std::vector<Program> programs;
