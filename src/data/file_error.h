// What the system's reason for a failed call on a file means for the user.
#pragma once

#include <filesystem>
#include <string_view>

namespace cajal::data {

/// Throws Error "cannot `action` `file`: reason; remedy" for an errno. There is always a remedy.
[[noreturn]] void throw_file_error(std::string_view action, const std::filesystem::path& file,
                                   int error);

}  // namespace cajal::data
