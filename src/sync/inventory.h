// The second inventory of waits: a lexer that knows comments, strings and dead preprocessor code.
// What it sees and the parser does not is listed and never rewritten.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cajal::sync {

enum class Place { code, dead, macro };

struct SeenWait {
  unsigned line = 0;
  std::string call;
  Place place = Place::code;
};

std::vector<SeenWait> find_waits(std::string_view text);

/// Cheap: whether the text names a known wait anywhere, comments included.
bool mentions_wait(std::string_view text);

}  // namespace cajal::sync
