// The completion handler that takes over a wait's error path.
#pragma once

#include <string>

#include "sync/source.h"

namespace cajal::sync {

/// The statement, and the line break and indent behind it, to stand in front of the commit.
std::string handler_text(const CommitText& commit, const std::string& source);

/// "#include <cstdio>" where a C++ handler needs it and the source has none; at the first include.
bool needs_cstdio(const CommitText& commit, const std::string& source);

}  // namespace cajal::sync
