#include "cli/app.h"

#include <fmt/format.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>

#include "cajal/error.h"
#include "cli/exit_codes.h"
#include "cli/format.h"
#include "cli/help.h"
#include "cli/session.h"
#include "cli/signals.h"
#include "cli/suggest.h"
#include "cli/version.h"

namespace cajal::cli {
namespace {

/// Log lines go through the console, so that they do not tear the live line.
class ConsoleSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit ConsoleSink(Console& console) : console_(console) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t text;
    formatter_->format(message, text);
    console_.diagnose(one_line({text.data(), text.size()}));
  }
  void flush_() override {}
  Console& console_;
};

/// While it lives, what the libraries below log comes out as warnings of the program.
class LibraryLog {
 public:
  explicit LibraryLog(Console& console) : before_(spdlog::default_logger()) {
    auto log = std::make_shared<spdlog::logger>("", std::make_shared<ConsoleSink>(console));
    log->set_pattern("cajal: %l: %v");
    spdlog::set_default_logger(std::move(log));
  }
  ~LibraryLog() { spdlog::set_default_logger(before_); }
  LibraryLog(const LibraryLog&) = delete;
  LibraryLog& operator=(const LibraryLog&) = delete;

 private:
  std::shared_ptr<spdlog::logger> before_;
};

using Commands = std::array<std::unique_ptr<Subcommand>, 5>;

std::string extra_argument(const CLI::App& app) {
  for (const std::string& argument : app.remaining()) {
    if (argument != "--") return argument;
  }
  return {};
}

void refuse_unknown_flag(const CLI::App& app, const std::string& argument) {
  std::vector<std::string> known;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  }
  const std::string flag = argument.substr(0, argument.find('='));
  throw InvalidArgument(fmt::format("unknown flag {}", flag),
                        fmt::format("{} --help lists the flags{}", app.get_display_name(),
                                    did_you_mean(flag, known)));
}

/// What CLI11 set aside, in words that do not depend on its version.
void refuse_extras(const CLI::App& app, std::string_view noun) {
  const std::string argument = extra_argument(app);
  if (argument.empty()) return;
  if (argument.size() > 1 && argument.front() == '-') refuse_unknown_flag(app, argument);
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  throw InvalidArgument(fmt::format("unexpected {} '{}'", noun, argument),
                        names.empty()
                            ? "remove it"
                            : fmt::format("give one of train, generate, bench, info, check{}",
                                          did_you_mean(argument, names)));
}

/// CLI11's own refusals; values are refused in flags.cpp.
[[noreturn]] void refuse_parse(const CLI::ParseError& error) {
  const std::string text = one_line(error.what());
  const std::string name = text.substr(0, text.find(':'));
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr && name.starts_with('-')) {
    throw InvalidArgument(fmt::format("{} needs a value", name),
                          fmt::format("{} --help explains it", "cajal COMMAND"));
  }
  if (dynamic_cast<const CLI::ExcludesError*>(&error) != nullptr) {
    throw InvalidArgument(text, "give only one of them");
  }
  throw InvalidArgument(text, "cajal COMMAND --help lists the flags");
}

/// The chosen command, with its flags set; nothing when help or version was asked for and printed.
Subcommand* parse(CLI::App& program, const Commands& commands,
                  std::span<const char* const> arguments, Console& console) {
  try {
    program.parse(static_cast<int>(arguments.size()), arguments.data());
  } catch (const CLI::Success& success) {
    const bool version_asked = dynamic_cast<const CLI::CallForVersion*>(&success) != nullptr;
    console.print(version_asked ? fmt::format("cajal {}\n", version()) : program.help());
    return nullptr;
  } catch (const CLI::ParseError& error) {
    refuse_parse(error);
  }
  refuse_extras(program, "command");
  for (const auto& command : commands) {
    if (!command->app().parsed()) continue;
    refuse_extras(command->app(), "argument");
    return command.get();
  }
  throw InvalidArgument(
      "no command", "give one of train, generate, bench, info, check; cajal --help explains them");
}

int dispatch(std::span<const char* const> arguments, const Engine& engine, Console& console,
             Streams streams) {
  CLI::App program("Trains transformer language models; the host never stalls the device.",
                   "cajal");
  program.formatter(std::make_shared<HelpFormatter>());
  program.set_help_flag("-h,--help", "print this and end");
  program.set_version_flag("--version", version(), "print the version and end");
  program.footer(
      "cajal COMMAND --help explains each command's flags.\nBegin with: cajal train --minutes 2");
  program.allow_extras();
  program.require_subcommand(0, 1);
  const Commands commands{add_train(program), add_generate(program), add_bench(program),
                          add_info(program), add_check(program)};
  Subcommand* command = parse(program, commands, arguments, console);
  if (command == nullptr) return kSuccess;

  const LibraryLog library(console);
  spdlog::logger log("cajal", std::make_shared<ConsoleSink>(console));
  log.set_pattern("[%H:%M:%S.%e] %v");
  log.set_level(command->verbose() ? spdlog::level::debug : spdlog::level::warn);
  Session session{engine, console, log, streams, arguments.empty() ? "cajal" : arguments.front()};
  command->check(session);
  return command->run(session);
}

int fail(Console& console, std::string_view message, int code) {
  console.clear();
  console.diagnose("cajal: error: " + one_line(message));
  return code;
}

int guarded(std::span<const char* const> arguments, const Engine& engine, Console& console,
            Streams streams) {
  try {
    return dispatch(arguments, engine, console, streams);
  } catch (const InvalidArgument& error) {
    return fail(console, error.what(), kUsage);
  } catch (const std::bad_alloc&) {
    return fail(console, "out of memory; take a smaller --batch or --preset", kFailure);
  } catch (const std::exception& error) {
    return fail(console, error.what(), kFailure);
  } catch (...) {
    return fail(console, "unknown failure", kFailure);
  }
}

}  // namespace

void warn(Session& session, std::string_view text) {
  session.console.diagnose("cajal: warning: " + one_line(text));
}

int run(std::span<const char* const> arguments, const Engine& engine, Streams streams) {
  const WriteSignalsIgnored ignored;
  Console console(streams);
  const int code = guarded(arguments, engine, console, streams);
  if (console.closed()) return kOutputClosed;
  if (code == kSuccess && console.output_error() != 0) {
    const std::string reason = std::generic_category().message(console.output_error());
    return fail(console, fmt::format("standard output: {}", reason), kFailure);
  }
  return code;
}

}  // namespace cajal::cli
