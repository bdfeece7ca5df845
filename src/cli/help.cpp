#include "cli/help.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>
#include <vector>

namespace cajal::cli {
namespace {

constexpr std::size_t kWidth = 79;
constexpr std::size_t kIndent = 24;

// One entry: its name on the left, its wrapped text on the right.
std::string entry(const std::string& name, const std::string& text) {
  std::string out = "  " + name;
  if (out.size() + 1 > kIndent)
    out += '\n' + std::string(kIndent, ' ');
  else
    out.append(kIndent - out.size(), ' ');
  std::istringstream words(text);
  std::size_t column = kIndent;
  for (std::string word; words >> word;) {
    if (column > kIndent && column + 1 + word.size() > kWidth) {
      out += '\n' + std::string(kIndent, ' ');
      column = kIndent;
    }
    if (column > kIndent) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
  }
  return out + '\n';
}

std::string flag_name(const CLI::Option& option) {
  std::string name;
  for (const std::string& short_name : option.get_snames()) name += '-' + short_name + ", ";
  name += "--" + option.get_lnames().front();
  if (option.get_type_size() != 0) name += ' ' + option.get_type_name();
  return name;
}

std::string positional_name(const CLI::Option& option) {
  const bool many = option.get_expected_max() > 1;
  return option.get_name(true) + (many ? "..." : "");
}

bool is_positional(const CLI::Option* option) { return option->get_positional(); }

std::string usage(const CLI::App& app, const std::string& program) {
  std::string line = fmt::format("Usage: {}", program);
  if (!app.get_subcommands({}).empty()) return line + " COMMAND [FLAGS]\n";
  line += " [FLAGS]";
  for (const CLI::Option* option : app.get_options(is_positional)) {
    const std::string name = positional_name(*option);
    line += option->get_required() ? ' ' + name : " [" + name + ']';
  }
  return line + '\n';
}

// CLI11's own group, which holds --help, goes last.
std::vector<std::string> groups_of(const CLI::App& app) {
  std::vector<std::string> groups = app.get_groups();
  std::stable_partition(groups.begin(), groups.end(),
                        [](const std::string& group) { return group != "Options"; });
  return groups;
}

std::string flags(const CLI::App& app) {
  std::string out;
  for (const std::string& group : groups_of(app)) {
    std::string entries;
    for (const CLI::Option* option : app.get_options()) {
      if (is_positional(option) || option->get_group() != group) continue;
      entries += entry(flag_name(*option), option->get_description());
    }
    if (!group.empty() && !entries.empty()) out += '\n' + group + ":\n" + entries;
  }
  return out;
}

}  // namespace

std::string HelpFormatter::make_help(const CLI::App* app, std::string name,
                                     CLI::AppFormatMode /*mode*/) const {
  const std::string program = name.empty() ? app->get_name() : name;
  std::string out = app->get_description() + "\n\n" + usage(*app, program);
  std::string positionals;
  for (const CLI::Option* option : app->get_options(is_positional)) {
    positionals += entry(positional_name(*option), option->get_description());
  }
  if (!positionals.empty()) out += '\n' + positionals;
  std::string commands;
  for (const CLI::App* command : app->get_subcommands({})) {
    commands += entry(command->get_name(), command->get_description());
  }
  if (!commands.empty()) out += "\nCommands:\n" + commands;
  out += flags(*app);
  if (!app->get_footer().empty()) out += '\n' + app->get_footer() + '\n';
  return out;
}

}  // namespace cajal::cli
