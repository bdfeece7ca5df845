// Edits of a text, and where statements begin and end in it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace cajal::sync {

/// Puts `text` in the place of the bytes [begin, end).
struct Edit {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::string text;
};

/// Edits that overlap an earlier one are left out.
std::string apply_edits(const std::string& text, std::vector<Edit> edits);

std::size_t line_begin(const std::string& text, std::size_t at);
std::size_t offset_of_line(const std::string& text, unsigned line);

/// The blanks in front of what stands at `at`.
std::string indent_at(const std::string& text, std::size_t at);

/// One more level, as the line at `at` is indented.
std::string indent_step(const std::string& text, std::size_t at);

/// How the line at `at` ends: "\n" or "\r\n".
std::string newline_of(const std::string& text, std::size_t at);

/// The statement whose expression is [begin, end), with its semicolon; the whole line when nothing
/// else stands on it. False when no semicolon follows.
bool statement_range(const std::string& text, std::size_t begin, std::size_t end, Edit& out);

/// An if, else, loop or label without braces has what stands at `begin` as its whole body: taking
/// it away would take the next statement instead.
bool is_bare_body(const std::string& text, std::size_t begin);

}  // namespace cajal::sync
