#include "cajal/error.h"

#include <array>

namespace cajal {
namespace {

/// Problems quote names and values from files. Whatever those hold, the line stays one, and a
/// terminal takes none of it for a command.
void append_escaped(std::string& line, std::string_view text) {
  constexpr std::array<char, 16> kDigits{'0', '1', '2', '3', '4', '5', '6', '7',
                                         '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    if (character == '\n') {
      line += "\\n";
    } else if (byte < 0x20 || byte == 0x7F) {
      line += "\\x";
      line += kDigits[byte >> 4];
      line += kDigits[byte & 0xF];
    } else {
      line += character;
    }
  }
}

std::string one_line(std::string_view problem, std::string_view remedy) {
  std::string line;
  append_escaped(line, problem);
  if (!remedy.empty()) append_escaped(line.append("; "), remedy);
  return line;
}

}  // namespace

Error::Error(std::string_view problem, std::string_view remedy)
    : std::runtime_error(one_line(problem, remedy)) {}

}  // namespace cajal
