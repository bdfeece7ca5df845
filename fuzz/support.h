// What the fuzz targets share.
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>

#include "cajal/error.h"

namespace cajal::fuzz {

/// A reader broke its contract. No cajal::Error, so that nothing takes it for a refusal.
class Violation : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

inline void require(bool condition, const char* contract) {
  if (!condition) throw Violation(contract);
}

/// Runs `read`; an Error is a refusal, and must be one line.
template <class Read>
void accept_or_refuse(Read&& read) {
  try {
    read();
  } catch (const Error& error) {
    require(std::string_view(error.what()).find('\n') == std::string_view::npos,
            "an error is one line");
    require(!std::string_view(error.what()).empty(), "an error says something");
  }
}

/// A folder in memory where there is one, for readers of files; empty at first, gone at the end.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  /// Writes `contents` to a file of that name, and returns its path.
  std::filesystem::path put(std::string_view name, std::string_view contents) const;
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

std::string contents_of(const std::filesystem::path& file);

}  // namespace cajal::fuzz
