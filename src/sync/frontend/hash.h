// SHA-256, as LLVM has it.
#pragma once

#include <string>
#include <string_view>

namespace cajal::sync::frontend {

/// In hexadecimal digits.
std::string sha256(std::string_view text);

}  // namespace cajal::sync::frontend
