// A unified diff of two texts.
#pragma once

#include <string>

namespace cajal::sync {

/// Empty when they are the same.
std::string unified_diff(const std::string& before, const std::string& after,
                         const std::string& path);

}  // namespace cajal::sync
