// A configuration file in TOML: refused, or entries with keys, in the order of their lines.
#include <algorithm>
#include <string>

#include "cli/config_file.h"
#include "support.h"
#include "targets.h"

namespace cajal::fuzz {

void settings_toml(std::string_view input) {
  const auto lines = 1 + std::count(input.begin(), input.end(), '\n');
  accept_or_refuse([&] {
    int last = 1;
    for (const cli::ConfigEntry& entry : cli::parse_config(input, "run.toml")) {
      require(entry.line >= last, "entries come in the order of their lines");
      require(entry.line <= lines, "an entry's line is one of the file's");
      last = entry.line;
    }
  });
}

}  // namespace cajal::fuzz
