#include "cli/flags.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "cli/suggest.h"

namespace cajal::cli {
namespace {

std::string describe(IntegerRange range) {
  if (range.most == std::numeric_limits<std::int64_t>::max()) {
    return fmt::format("a whole number of at least {}", range.least);
  }
  return fmt::format("a whole number from {} to {}", range.least, range.most);
}

std::string describe(NumberRange range) {
  std::string words =
      fmt::format("a number {} {}", range.least_open ? "over" : "of at least", range.least);
  if (range.most < std::numeric_limits<float>::max()) {
    words += fmt::format(" and {} {}", range.most_open ? "under" : "at most", range.most);
  }
  return words;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

[[noreturn]] void refuse(std::string_view flag, std::string_view text, const std::string& wanted) {
  throw InvalidArgument(fmt::format("{} cannot be '{}'", flag, text),
                        fmt::format("give {}", wanted));
}

}  // namespace

std::int64_t parse_integer(std::string_view flag, std::string_view text, IntegerRange range) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  if (!whole || value < range.least || value > range.most) refuse(flag, text, describe(range));
  return value;
}

double parse_number(std::string_view flag, std::string_view text, NumberRange range) {
  // strtod takes leading blanks, hexadecimals, "nan" and "inf": none is a sensible flag.
  const bool plain = !text.empty() && text.find_first_not_of("0123456789+-.eE") == text.npos;
  const std::string copy(text);
  char* end = nullptr;
  const double value = std::strtod(copy.c_str(), &end);
  const bool whole = plain && end == copy.c_str() + copy.size() && std::isfinite(value);
  const bool low = range.least_open ? value <= range.least : value < range.least;
  const bool high = range.most_open ? value >= range.most : value > range.most;
  if (!whole || low || high) refuse(flag, text, describe(range));
  return value;
}

std::size_t parse_choice(std::string_view flag, std::string_view text,
                         const std::vector<std::string>& names) {
  const auto found = std::find(names.begin(), names.end(), text);
  if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  throw InvalidArgument(
      fmt::format("{} cannot be '{}'", flag, text),
      fmt::format("give {}{}", fmt::join(names, ", "), did_you_mean(text, names)));
}

CLI::Option* Flags::boolean(const std::string& name, bool& target, std::string help) {
  CLI::Option* option = app_.add_flag(name, target, std::move(help));
  option->group(group_);
  flags_.push_back({option->get_lnames().front(), ValueKind::boolean, option});
  return option;
}

CLI::Option* Flags::paths(const std::string& name, std::vector<std::filesystem::path>& target,
                          std::string help) {
  const auto set = [&target, name](const CLI::results_t& results) {
    target.clear();
    for (const std::string& text : results) {
      require_text(name, text);
      target.emplace_back(text);
    }
    return true;
  };
  CLI::Option* option = app_.add_option(name, set, std::move(help));
  option->expected(1, CLI::detail::expected_max_vector_size)->allow_extra_args();
  flags_.push_back({lower(name), ValueKind::texts, option});
  return option;
}

CLI::Option* Flags::path(const std::string& name, std::filesystem::path& target, std::string help) {
  const auto set = [&target, name](const CLI::results_t& results) {
    require_text(name, results.front());
    target = results.front();
    return true;
  };
  CLI::Option* option = app_.add_option(name, set, std::move(help));
  flags_.push_back({lower(name), ValueKind::text, option});
  return option;
}

CLI::Option* Flags::add(const std::string& name, ValueKind kind, std::string value,
                        std::string help, Setter set) {
  const auto callback = [set = std::move(set)](const CLI::results_t& results) {
    set(results.back());
    return true;
  };
  CLI::Option* option = app_.add_option(name, callback, std::move(help));
  option->type_name(std::move(value))
      ->group(group_)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  flags_.push_back({option->get_lnames().front(), kind, option});
  return option;
}

void Flags::require_text(std::string_view flag, std::string_view text) {
  if (text.empty())
    throw InvalidArgument(fmt::format("{} is empty", flag), "give it a value or leave it out");
}

}  // namespace cajal::cli
