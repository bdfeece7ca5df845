// The program `cajal-sync`, as a function.
#pragma once

#include <span>

namespace cajal::sync {

/// 0 nothing to mend, 1 something to mend or missing, 2 could not do it. Never throws.
int run(std::span<char* const> arguments);

}  // namespace cajal::sync
