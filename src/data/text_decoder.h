// UTF-8 made whole: bad bytes are replaced, nothing around them is lost.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace cajal::data {

/// Reads one file from its beginning. What comes out, and the counts, do not depend on the pieces
/// that it is read in.
class TextDecoder {
 public:
  /// Appends the text of `bytes` and returns how many of them were used: all if they are the
  /// `last`, else all but up to three that begin a character; give those again with what follows.
  /// A byte order mark at the beginning is left out. Each NUL and each start of a character that is
  /// not gone on with becomes one U+FFFD.
  std::size_t append(std::string_view bytes, bool last, std::string& text);

  std::int64_t invalid_bytes() const { return invalid_bytes_; }
  /// Of the first invalid byte, from 1 on; 0 if there was none.
  std::int64_t first_invalid_line() const { return first_invalid_line_; }

 private:
  void append_without_nul(std::string_view bytes, std::string& text);
  void replace(std::size_t invalid, std::string& text);

  bool at_start_ = true;
  std::int64_t line_ = 1;
  std::int64_t invalid_bytes_ = 0;
  std::int64_t first_invalid_line_ = 0;
};

}  // namespace cajal::data
