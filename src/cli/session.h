// What a subcommand works with, and what it is.
#pragma once

#include <spdlog/logger.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "cli/console.h"
#include "cli/engine.h"

namespace cajal::cli {

struct Session {
  const Engine& engine;
  Console& console;
  spdlog::logger& log;  ///< Diagnostics for standard error; all of them with --verbose.
  Streams streams;
  std::string program;  ///< As it was called, for commands that the reader can copy.
};

/// One line, "cajal: warning: ...".
void warn(Session& session, std::string_view text);

class Subcommand {
 public:
  virtual ~Subcommand() = default;
  CLI::App& app() const { return *app_; }
  bool verbose() const { return verbose_; }

  /// After the command line has been read: the configuration file, and what no single flag can
  /// tell.
  virtual void check(Session& /*session*/) {}
  /// Returns the exit code.
  virtual int run(Session& session) = 0;

 protected:
  explicit Subcommand(CLI::App& app) : app_(&app) {}
  CLI::App* app_;
  bool verbose_ = false;
};

std::unique_ptr<Subcommand> add_train(CLI::App& program);
std::unique_ptr<Subcommand> add_generate(CLI::App& program);
std::unique_ptr<Subcommand> add_bench(CLI::App& program);
std::unique_ptr<Subcommand> add_info(CLI::App& program);
std::unique_ptr<Subcommand> add_check(CLI::App& program);

}  // namespace cajal::cli
