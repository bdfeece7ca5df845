#include "cli/config_file.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <system_error>

#include "cli/suggest.h"

namespace cajal::cli {
namespace {

std::string read_file(const std::filesystem::path& file) {
  const auto refuse = [&](const std::string& why) {
    throw InvalidArgument(fmt::format("--config {}: {}", file.string(), why),
                          "give a readable TOML file");
  };
  if (std::filesystem::is_directory(file)) refuse("is a directory");
  std::ifstream stream(file, std::ios::binary);
  if (!stream) refuse(std::generic_category().message(errno));
  std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  if (stream.bad()) refuse("cannot be read");
  return text;
}

std::optional<std::vector<std::string>> texts_of(const toml::array& array) {
  std::vector<std::string> texts;
  for (const toml::node& item : array) {
    const auto text = item.value_exact<std::string>();
    if (!text) return std::nullopt;
    texts.push_back(*text);
  }
  return texts;
}

std::optional<ConfigValue> value_of(const toml::node& node) {
  if (const auto flag = node.value_exact<bool>()) return ConfigValue(*flag);
  if (const auto whole = node.value_exact<std::int64_t>()) return ConfigValue(*whole);
  if (const auto real = node.value_exact<double>()) return ConfigValue(*real);
  if (auto text = node.value_exact<std::string>()) return ConfigValue(std::move(*text));
  if (const toml::array* array = node.as_array()) {
    if (auto texts = texts_of(*array)) return ConfigValue(std::move(*texts));
  }
  return std::nullopt;
}

std::string_view wanted(ValueKind kind) {
  switch (kind) {
    case ValueKind::integer:
      return "a whole number without quotes";
    case ValueKind::number:
      return "a number without quotes";
    case ValueKind::text:
      return "a text in quotes";
    case ValueKind::boolean:
      return "true or false";
    case ValueKind::texts:
      return "a text in quotes or an array of them";
  }
  return "another type";
}

// The value as the command line would have spelt it, or nothing where the type is wrong.
std::optional<std::vector<std::string>> spell(const ConfigValue& value, ValueKind kind) {
  using Texts = std::vector<std::string>;
  const auto* whole = std::get_if<std::int64_t>(&value);
  const auto* real = std::get_if<double>(&value);
  const auto* text = std::get_if<std::string>(&value);
  const auto* flag = std::get_if<bool>(&value);
  const auto* texts = std::get_if<Texts>(&value);
  const bool takes_whole = kind == ValueKind::integer || kind == ValueKind::number;
  if (whole != nullptr && takes_whole) return Texts{std::to_string(*whole)};
  if (real != nullptr && kind == ValueKind::number) return Texts{fmt::format("{}", *real)};
  if (text != nullptr && (kind == ValueKind::text || kind == ValueKind::texts)) return Texts{*text};
  if (flag != nullptr && kind == ValueKind::boolean) return Texts{*flag ? "true" : "false"};
  if (texts != nullptr && kind == ValueKind::texts) return *texts;
  return std::nullopt;
}

constexpr std::string_view kOwnKey = "config";  // A file does not name another one.

const Flag& flag_of(const ConfigEntry& entry, const std::string& where,
                    std::span<const Flag> flags) {
  std::vector<std::string> keys;
  for (const Flag& flag : flags) {
    if (flag.key == kOwnKey) continue;
    if (flag.key == entry.key) return flag;
    keys.push_back(flag.key);
  }
  throw InvalidArgument(
      fmt::format("{}: unknown key '{}'", where, entry.key),
      fmt::format("keys are the long flags that --help lists{}", did_you_mean(entry.key, keys)));
}

// A flag of the command line overrules the file's, and those that it excludes.
bool overruled(const Flag& flag, const std::set<const CLI::Option*>& given) {
  const auto in_given = [&](const CLI::Option* option) { return given.contains(option); };
  const auto& excluded = flag.option->get_excludes();
  return in_given(flag.option) || std::any_of(excluded.begin(), excluded.end(), in_given);
}

void refuse_clash(const Flag& flag, const std::string& where) {
  for (const CLI::Option* other : flag.option->get_excludes()) {
    if (other->count() == 0) continue;
    throw InvalidArgument(
        fmt::format("{}: '{}' does not go with '{}'", where, flag.key, other->get_lnames().front()),
        "remove one of them");
  }
}

void set(const Flag& flag, const std::vector<std::string>& texts, const std::string& where) {
  try {
    if (texts.empty()) return;
    flag.option->add_result(texts);
    flag.option->run_callback();
  } catch (const std::exception& error) {
    throw InvalidArgument(fmt::format("{}: {}", where, error.what()));
  }
}

}  // namespace

std::vector<ConfigEntry> parse_config(std::string_view text, const std::string& name) try {
  const toml::table table = toml::parse(text, name);
  std::vector<ConfigEntry> entries;
  for (const auto& [key, node] : table) {
    const int line = static_cast<int>(node.source().begin.line);
    auto value = value_of(node);
    if (!value) {
      throw InvalidArgument(
          fmt::format("{}:{}: '{}' has a type that no flag takes", name, line, key.str()),
          "give a number, a text, true or false");
    }
    entries.push_back({std::string(key.str()), std::move(*value), line});
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const ConfigEntry& a, const ConfigEntry& b) { return a.line < b.line; });
  return entries;
} catch (const toml::parse_error& error) {
  throw InvalidArgument(
      fmt::format("{}:{}: {}", name, error.source().begin.line, error.description()),
      "correct the TOML");
}

void apply_config(const std::filesystem::path& file, std::span<const Flag> flags) {
  std::set<const CLI::Option*> given;
  for (const Flag& flag : flags) {
    if (flag.option->count() > 0) given.insert(flag.option);
  }
  for (const ConfigEntry& entry : parse_config(read_file(file), file.string())) {
    const std::string where = fmt::format("{}:{}", file.string(), entry.line);
    const Flag& flag = flag_of(entry, where, flags);
    const auto texts = spell(entry.value, flag.kind);
    if (!texts) {
      throw InvalidArgument(fmt::format("{}: '{}' has the wrong type", where, entry.key),
                            fmt::format("give {}", wanted(flag.kind)));
    }
    if (overruled(flag, given)) continue;
    refuse_clash(flag, where);
    set(flag, *texts, where);
  }
}

}  // namespace cajal::cli
