// Errors that cajal throws at its public API.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace cajal {

/// Something failed at run time: a device fault, an unreadable file, a full disk. what() is one
/// line (control characters are written out, as \n and \x1b): what went wrong and where, then "; "
/// and the remedy if there is one.
class Error : public std::runtime_error {
 public:
  explicit Error(std::string_view problem, std::string_view remedy = {});
};

/// The caller asked for something that cannot be: a wrong flag, an impossible size, a missing file.
/// Found before any work starts and before anything is written; the command line exits with 2.
class InvalidArgument : public Error {
 public:
  using Error::Error;
};

}  // namespace cajal
