// What stands in a file's place when it is not what its name says.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace cajal::train {

/// Bytes of a file's beginning that refuse_foreign() wants to see.
inline constexpr std::size_t kForeignHead = 512;

/// Throws Error that says what `source` is and what to do, when its first bytes show a Git LFS
/// pointer, a web page, an archive, a pickle or another format of weights. `head` may be shorter
/// than kForeignHead only where the file is.
void refuse_foreign(std::span<const std::byte> head, const std::string& source);

}  // namespace cajal::train
