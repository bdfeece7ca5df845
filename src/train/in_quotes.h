// Names from a file within an error's line.
#pragma once

#include <string>
#include <string_view>

namespace cajal::train {

/// In quotes, control characters escaped and long text cut: an error stays one line of readable
/// length whatever the file holds.
std::string in_quotes(std::string_view text);

}  // namespace cajal::train
