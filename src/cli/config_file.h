// Flags from a TOML file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cli/flags.h"

namespace cajal::cli {

using ConfigValue = std::variant<bool, std::int64_t, double, std::string, std::vector<std::string>>;

struct ConfigEntry {
  std::string key;
  ConfigValue value;
  int line = 0;
};

/// The entries of a TOML document in the order of their lines. `name` is the file's, for messages.
/// Throws InvalidArgument for broken TOML, and for tables, dates and mixed arrays, which no flag
/// takes.
std::vector<ConfigEntry> parse_config(std::string_view text, const std::string& name);

/// Sets every flag that the command line left open from the file: keys are the long flags. Throws
/// InvalidArgument that names key, file and line for an unknown key, a wrong type or a value out of
/// range, and for two flags of the file that exclude each other. A flag on the command line also
/// overrules those that it excludes.
void apply_config(const std::filesystem::path& file, std::span<const Flag> flags);

}  // namespace cajal::cli
