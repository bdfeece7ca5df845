// Programs of events drawn at random: submissions, waits, host access, helpers, loops, branches.
#pragma once

#include <cstdint>

#include "sync/ir.h"

namespace cajal::sync::testing {

Program random_program(std::uint64_t seed);

/// The program without the given waits; `moved` ones stand at their mark instead.
Program without_waits(const Program& program, const std::vector<int>& removed,
                      const std::vector<std::pair<int, unsigned>>& moved);

}  // namespace cajal::sync::testing
