#include "data/text_decoder.h"

#include <algorithm>

#include "data/utf8.h"

namespace cajal::data {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

}  // namespace

std::size_t TextDecoder::append(std::string_view bytes, bool last, std::string& text) {
  const std::size_t used = last ? bytes.size() : bytes.size() - incomplete_tail(bytes);
  bytes = bytes.substr(0, used);
  if (at_start_ && bytes.starts_with(kByteOrderMark)) bytes.remove_prefix(kByteOrderMark.size());
  if (used > 0) at_start_ = false;
  for (;;) {
    const std::size_t nul = bytes.find('\0');
    append_without_nul(bytes.substr(0, nul), text);
    if (nul == std::string_view::npos) return used;
    replace(1, text);
    bytes.remove_prefix(nul + 1);
  }
}

void TextDecoder::append_without_nul(std::string_view bytes, std::string& text) {
  while (!bytes.empty()) {
    const std::string_view valid = bytes.substr(0, valid_utf8_prefix(bytes));
    text += valid;
    line_ += std::count(valid.begin(), valid.end(), '\n');
    bytes.remove_prefix(valid.size());
    if (bytes.empty()) return;
    const std::size_t invalid = invalid_length(bytes);
    replace(invalid, text);
    bytes.remove_prefix(invalid);
  }
}

void TextDecoder::replace(std::size_t invalid, std::string& text) {
  text += kReplacement;
  invalid_bytes_ += static_cast<std::int64_t>(invalid);
  if (first_invalid_line_ == 0) first_invalid_line_ = line_;
}

}  // namespace cajal::data
