// The stub headers, compiled into the program.
#pragma once

#include <string>
#include <vector>

namespace cajal::sync::frontend {

struct Stub {
  const char* name;
  const char* text;
};

const std::vector<Stub>& stubs();

}  // namespace cajal::sync::frontend
