#include "sync/text_edit.h"

#include <algorithm>

namespace cajal::sync {
namespace {

std::size_t line_end(const std::string& text, std::size_t at) {
  const std::size_t newline = text.find('\n', at);
  return newline == std::string::npos ? text.size() : newline + 1;
}

}  // namespace

std::string apply_edits(const std::string& text, std::vector<Edit> edits) {
  std::stable_sort(edits.begin(), edits.end(),
                   [](const Edit& a, const Edit& b) { return a.begin < b.begin; });
  std::string out;
  std::size_t at = 0;
  for (const Edit& edit : edits) {
    if (edit.begin < at) continue;
    out += text.substr(at, edit.begin - at) + edit.text;
    at = edit.end;
  }
  return out + text.substr(at);
}

std::size_t line_begin(const std::string& text, std::size_t at) {
  const std::size_t newline = at == 0 ? std::string::npos : text.rfind('\n', at - 1);
  return newline == std::string::npos ? 0 : newline + 1;
}

std::size_t offset_of_line(const std::string& text, unsigned line) {
  std::size_t at = 0;
  for (unsigned i = 1; i < line && at < text.size(); ++i) at = line_end(text, at);
  return at;
}

std::string indent_at(const std::string& text, std::size_t at) {
  const std::size_t begin = line_begin(text, at);
  const std::size_t end = text.find_first_not_of(" \t", begin);
  return text.substr(begin, std::min(end, at) - begin);
}

std::string indent_step(const std::string& text, std::size_t at) {
  const std::string indent = indent_at(text, at);
  if (indent.find('\t') != std::string::npos) return "\t";
  return std::string(!indent.empty() && indent.size() % 4 == 0 ? 4 : 2, ' ');
}

std::string newline_of(const std::string& text, std::size_t at) {
  const std::size_t end = line_end(text, at);
  return end >= 2 && text[end - 1] == '\n' && text[end - 2] == '\r' ? "\r\n" : "\n";
}

bool statement_range(const std::string& text, std::size_t begin, std::size_t end, Edit& out) {
  if (end == 0) return false;
  const std::size_t semicolon = text.find_first_not_of(" \t\r\n", end);
  if (semicolon == std::string::npos || text[semicolon] != ';') return false;
  out.begin = begin;
  out.end = semicolon + 1;
  const std::size_t first = line_begin(text, begin);
  const std::size_t last = line_end(text, out.end);
  if (text.find_first_not_of(" \t", first) != begin) return true;
  const std::size_t rest = text.find_first_not_of(" \t\r", out.end);
  if (rest == std::string::npos || rest + 1 == last) {
    out.begin = first;
    out.end = last;
  } else {
    out.end = rest;  // A comment stays, where the statement stood.
  }
  return true;
}

bool is_bare_body(const std::string& text, std::size_t begin) {
  const std::size_t last =
      begin == 0 ? std::string::npos : text.find_last_not_of(" \t\r\n", begin - 1);
  if (last == std::string::npos) return false;
  const char c = text[last];
  const bool word_else = last >= 3 && text.compare(last - 3, 4, "else") == 0;
  return c == ')' || word_else || c == ':';
}

}  // namespace cajal::sync
