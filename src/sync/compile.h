// Asks the compiler of the machine, where there is one, whether a file compiles.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sync/source.h"

namespace cajal::sync {

/// Checks the syntax of the file with the flags. Empty when no compiler for the language is found.
std::optional<bool> compiles(const std::string& path, Language language,
                             const std::vector<std::string>& flags);

}  // namespace cajal::sync
