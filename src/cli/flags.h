// The flags of a subcommand: one line to declare each, one wording for every refusal.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cajal/error.h"

namespace cajal::cli {

enum class ValueKind : std::uint8_t { integer, number, text, boolean, texts };

/// A flag as the configuration file sees it.
struct Flag {
  std::string key;  ///< Its long name without the dashes.
  ValueKind kind = ValueKind::text;
  CLI::Option* option = nullptr;
};

struct IntegerRange {
  std::int64_t least = 1;
  std::int64_t most = std::numeric_limits<std::int64_t>::max();
};

/// Bounds of a real number; an open bound is not itself allowed.
struct NumberRange {
  double least = 0.0;
  bool least_open = false;
  double most = std::numeric_limits<float>::max();
  bool most_open = false;
};

std::int64_t parse_integer(std::string_view flag, std::string_view text, IntegerRange range);
double parse_number(std::string_view flag, std::string_view text, NumberRange range);

template <class T>
struct Choice {
  std::string name;
  T value;
};

/// Throws InvalidArgument that lists the names and guesses which one was meant.
std::size_t parse_choice(std::string_view flag, std::string_view text,
                         const std::vector<std::string>& names);

/// What a flag sets: T itself, or the T inside an optional<T>.
template <class T>
struct ValueOf {
  using type = T;
};
template <class T>
struct ValueOf<std::optional<T>> {
  using type = T;
};

/// Declares the flags of one subcommand. CLI11 splits the command line; values are converted and
/// refused here, in words that do not depend on CLI11's version. A flag given twice: the last wins.
/// Targets must outlive the parse.
class Flags {
 public:
  explicit Flags(CLI::App& app) : app_(app) {}

  /// Heading in --help for what is declared next.
  void group(std::string name) { group_ = std::move(name); }

  template <class T>
  CLI::Option* integer(const std::string& name, T& target, std::string value, std::string help,
                       IntegerRange range = {}) {
    using Value = typename ValueOf<T>::type;
    return add(name, ValueKind::integer, std::move(value), std::move(help),
               [name, range, &target](const std::string& text) {
                 target = static_cast<Value>(parse_integer(name, text, range));
               });
  }

  template <class T>
  CLI::Option* number(const std::string& name, T& target, std::string value, std::string help,
                      NumberRange range) {
    using Value = typename ValueOf<T>::type;
    return add(name, ValueKind::number, std::move(value), std::move(help),
               [name, range, &target](const std::string& text) {
                 target = static_cast<Value>(parse_number(name, text, range));
               });
  }

  template <class T, class V>
  CLI::Option* choice(const std::string& name, T& target, std::vector<Choice<V>> choices,
                      std::string value, std::string help) {
    return add(name, ValueKind::text, std::move(value), std::move(help),
               [name, choices = std::move(choices), &target](const std::string& text) {
                 std::vector<std::string> names;
                 for (const auto& choice : choices) names.push_back(choice.name);
                 target = choices[parse_choice(name, text, names)].value;
               });
  }

  /// Any text (or path) but the empty one, unless `may_be_empty`.
  template <class T>
  CLI::Option* text(const std::string& name, T& target, std::string value, std::string help,
                    bool may_be_empty = false) {
    using Value = typename ValueOf<T>::type;
    return add(name, ValueKind::text, std::move(value), std::move(help),
               [name, may_be_empty, &target](const std::string& given) {
                 if (!may_be_empty) require_text(name, given);
                 target = Value(given);
               });
  }

  CLI::Option* boolean(const std::string& name, bool& target, std::string help);

  /// Positional paths, none or many. In a configuration file their key is the name in lower case.
  CLI::Option* paths(const std::string& name, std::vector<std::filesystem::path>& target,
                     std::string help);

  /// One positional path.
  CLI::Option* path(const std::string& name, std::filesystem::path& target, std::string help);

  const std::vector<Flag>& all() const { return flags_; }

 private:
  using Setter = std::function<void(const std::string&)>;
  CLI::Option* add(const std::string& name, ValueKind kind, std::string value, std::string help,
                   Setter set);
  static void require_text(std::string_view flag, std::string_view text);

  CLI::App& app_;
  std::string group_ = "Options";
  std::vector<Flag> flags_;
};

}  // namespace cajal::cli
