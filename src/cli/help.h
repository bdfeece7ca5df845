// What --help prints.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace cajal::cli {

/// Wraps at 80 columns on every version of CLI11: flags by group, in the order declared.
class HelpFormatter : public CLI::FormatterBase {
 public:
  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override;
};

}  // namespace cajal::cli
