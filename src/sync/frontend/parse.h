// Parses one host file and turns it into a Program.
#pragma once

#include <string>
#include <vector>

#include "sync/source.h"

namespace cajal::sync::frontend {

/// By the file's extension; none for what is no host code.
Language language_of(const std::string& path);

/// Never throws for a bad source: what cannot be parsed makes its functions opaque.
/// `flags` are added to the compiler's, for one "-I dir" or "-fno-objc-arc".
UnitResult parse(const std::string& path, const std::string& text, Language language,
                 const std::vector<std::string>& flags);

}  // namespace cajal::sync::frontend
