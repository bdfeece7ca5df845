// A first walk over a file: its functions, and what of its variables other code can reach.
#pragma once

#include <string>
#include <vector>

#include "sync/frontend/unit.h"

namespace cajal::sync::frontend {

struct Code {
  const clang::Decl* declaration = nullptr;
  const clang::Stmt* body = nullptr;
  int index = -1;
  bool block = false;
  std::string opaque;
};

/// Lines with errors make the functions around them opaque.
std::vector<Code> survey(Unit& unit, const std::vector<std::pair<unsigned, std::string>>& errors);

}  // namespace cajal::sync::frontend
