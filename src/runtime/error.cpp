#include "cajal/error.h"

namespace cajal {
namespace {

std::string one_line(std::string_view problem, std::string_view remedy) {
  std::string line(problem);
  if (!remedy.empty()) line.append("; ").append(remedy);
  return line;
}

}  // namespace

Error::Error(std::string_view problem, std::string_view remedy)
    : std::runtime_error(one_line(problem, remedy)) {}

}  // namespace cajal
