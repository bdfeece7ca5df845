// Macros that check what a call returns, from headers that are not at hand.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

namespace cajal::sync::frontend {

/// Names that the parser did not know, by its errors, and that are written like a macro around
/// calls of a GPU's interface: CHECK(cudaFree(p)). Whoever writes one means its argument to be
/// evaluated.
std::set<std::string> unknown_checks(const std::vector<std::pair<unsigned, std::string>>& errors,
                                     const std::string& text);

/// Whether one of the name's uses has a call of the interface inside.
bool passes_on(const std::string& name, const std::string& text);

/// A compiler flag that gives the name a meaning: the value of its arguments where it passes them
/// on, else a call of a function that is out of sight.
std::string stand_in(const std::string& name, const std::string& text);

}  // namespace cajal::sync::frontend
