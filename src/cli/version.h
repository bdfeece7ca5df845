// What this binary was built from and by.
#pragma once

#include <string>

namespace cajal::cli {

std::string version();         ///< "0.1.0"
std::string compiler();        ///< "GNU 12.2.0"
std::string build_type();      ///< "Release"
std::string onednn_version();  ///< Of the library that is loaded: "2.6.3"

}  // namespace cajal::cli
