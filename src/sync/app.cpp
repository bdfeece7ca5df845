#include "sync/app.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>

#include "sync/backup.h"
#include "sync/diff.h"
#include "sync/edits.h"
#include "sync/report.h"
#include "sync/scan.h"
#include "sync/verify.h"

namespace cajal::sync {
namespace {

constexpr int kCannot = 2;

struct Arguments {
  std::vector<std::string> paths;
  ScanOptions scan;
  bool json = false;
  std::string sarif;
  bool dump = false;
  bool dry_run = false;
  std::vector<unsigned> only;
  bool batch = false;
  std::string strategic;
};

void show_progress(int done, int all) {
  if (all < 4 || isatty(STDERR_FILENO) == 0) return;
  constexpr int kWidth = 30;
  const int filled = done * kWidth / all;
  fmt::print(stderr, "\r[{:#<{}}{:>{}}] {}/{} files", "", filled, "", kWidth - filled, done, all);
  if (done == all) fmt::print(stderr, "\n");
}

/// Columns of the terminal; 0, no limit, where the output goes elsewhere.
std::size_t terminal_width() {
  winsize size{};
  if (isatty(STDOUT_FILENO) == 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col;
}

int scan(const Arguments& arguments) {
  const ScanResult result = scan_paths(arguments.paths, arguments.scan, show_progress);
  if (arguments.dump) {
    for (const FileScan& file : result.files) fmt::print("{}", dump(file.unit.program));
  }
  if (!arguments.sarif.empty()) {
    std::ofstream out(arguments.sarif, std::ios::binary);
    out << to_sarif(result);
    if (!out)
      throw Failure(arguments.sarif + ": cannot be written; check the folder's permissions");
  }
  fmt::print("{}", arguments.json ? to_json(result) : to_table(result, terminal_width()));
  return exit_code(summarise(result));
}

std::string counted(int count, const char* one, const char* many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

void print_totals(const Fix& total, bool dry_run) {
  fmt::print("{} removed, {} moved", counted(total.removed, "wait", "waits"), total.moved);
  if (total.added > 0) fmt::print(", {} added", total.added);
  if (total.joined > 0) {
    fmt::print("; {} joined", counted(total.joined, "command buffer", "command buffers"));
  }
  fmt::print("{}\n", dry_run ? " (dry run: nothing written)" : "");
}

int fix(Arguments arguments) {
  FixOptions options;
  options.only = {arguments.only.begin(), arguments.only.end()};
  options.batch = arguments.batch;
  if (arguments.strategic == "loop") options.strategic = Strategic::loop;
  if (arguments.strategic == "function") options.strategic = Strategic::function;
  arguments.scan.functions_wait = options.strategic == Strategic::function;
  options.scan = arguments.scan;
  ScanResult result = scan_paths(arguments.paths, arguments.scan, show_progress);
  Fix total;
  for (FileScan& file : result.files) {
    const Fix plan = plan_fix(result, file, options);
    for (const std::string& note : plan.notes) fmt::print("{}\n", note);
    total.removed += plan.removed;
    total.moved += plan.moved;
    total.joined += plan.joined;
    total.added += plan.added;
    if (plan.before == plan.after) continue;
    // The files after it are decided with what this one becomes.
    if (arguments.scan.whole_program) file = scan_again(result, file, plan.after, arguments.scan);
    fmt::print("{}", unified_diff(plan.before, plan.after, file.path));
    if (arguments.dry_run) continue;
    if (read_file(file.path) != plan.before) {
      throw Failure(file.path + ": changed while it was analysed; run fix again");
    }
    const std::string backup = write_with_backup(file.path, plan.before, plan.after);
    fmt::print("{}: the original is {}\n", file.path, backup);
  }
  print_totals(total, arguments.dry_run);
  return 0;
}

int verify_all(const Arguments& arguments) {
  const ScanResult result = scan_paths(arguments.paths, arguments.scan, show_progress);
  bool good = true;
  for (const FileScan& file : result.files) {
    const Verification found = verify(file, arguments.scan);
    fmt::print("{}", found.text);
    good = good && found.good;
  }
  return good ? 0 : 1;
}

int restore_all(const Arguments& arguments) {
  for (const std::string& path : arguments.paths) {
    fmt::print("{}: restored from {}\n", path, restore(path));
  }
  return 0;
}

int explain_line(const std::string& where, const Arguments& arguments) {
  const std::size_t colon = where.rfind(':');
  if (colon == std::string::npos || colon + 1 == where.size()) {
    throw Failure(where + ": no line; give FILE:LINE");
  }
  const std::string path = where.substr(0, colon);
  unsigned line = 0;
  for (const char c : where.substr(colon + 1)) {
    if (c < '0' || c > '9') throw Failure(where + ": no line; give FILE:LINE");
    line = line * 10 + static_cast<unsigned>(c - '0');
  }
  std::vector<std::string> paths{path};
  paths.insert(paths.end(), arguments.paths.begin(), arguments.paths.end());
  const ScanResult result = scan_paths(paths, arguments.scan, {});
  const auto file = std::find_if(result.files.begin(), result.files.end(),
                                 [&](const FileScan& one) { return one.path == path; });
  const std::string text = file == result.files.end() ? "" : explain(*file, line);
  if (text.empty()) throw Failure(where + ": no wait and no finding there; scan lists them");
  fmt::print("{}", text);
  return 0;
}

int dispatch(int argc, char** argv) {
  CLI::App program(
      "Finds every blocking GPU wait in host code, says which are needed, mends the rest.",
      "cajal-sync");
  program.require_subcommand(1);
  Arguments arguments;
  std::string where;
  CLI::App* scan_command = program.add_subcommand("scan", "list the waits and what each is for");
  scan_command->add_option("PATH", arguments.paths, "files and directories")->required();
  scan_command->add_flag("--json", arguments.json, "print JSON");
  scan_command->add_option("--sarif", arguments.sarif, "write SARIF 2.1.0 to a file");
  scan_command->add_flag("--events", arguments.dump, "print what the front end understood");
  CLI::App* explain_command = program.add_subcommand("explain", "all that is known of one wait");
  explain_command->add_option("PATH:LINE", where, "where the wait stands")->required();
  explain_command->add_option("WITH", arguments.paths, "the program's other files, directories");
  CLI::App* fix_command = program.add_subcommand("fix", "remove and move waits, with a backup");
  fix_command->add_option("PATH", arguments.paths, "files and directories")->required();
  fix_command->add_flag("--dry-run", arguments.dry_run, "show the edits and write nothing");
  fix_command->add_option("--only", arguments.only, "only the waits on these lines")
      ->delimiter(',');
  fix_command->add_flag("--batch", arguments.batch, "join neighbouring command buffers too");
  fix_command
      ->add_option("--strategic", arguments.strategic,
                   "loop: one wait in every loop that commits; function: one before every function "
                   "returns that submits work")
      ->check(CLI::IsMember({"loop", "function"}));
  CLI::App* verify_command = program.add_subcommand("verify", "analyse mended files again");
  verify_command->add_option("PATH", arguments.paths, "files and directories")->required();
  CLI::App* restore_command = program.add_subcommand("restore", "put the originals back");
  restore_command->add_option("PATH", arguments.paths, "files")->required();
  // What stands behind "--" is for the compiler.
  std::vector<char*> own;
  bool compiler = false;
  for (int i = 0; i < argc; ++i) {
    if (compiler) {
      arguments.scan.flags.emplace_back(argv[i]);
    } else if (std::string_view(argv[i]) == "--") {
      compiler = true;
    } else {
      own.push_back(argv[i]);
    }
  }
  for (CLI::App* command : program.get_subcommands({})) {
    command->add_option("-p", arguments.scan.compile_commands,
                        "compile_commands.json, for the files' own flags");
  }
  for (CLI::App* command : {scan_command, fix_command, verify_command, explain_command}) {
    command->add_flag("--whole-program", arguments.scan.whole_program,
                      "the files are all there is: decide across them");
  }
  try {
    program.parse(static_cast<int>(own.size()), own.data());
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return program.exit(error);
    throw Failure(fmt::format("{}; see cajal-sync --help", error.what()));
  }
  if (explain_command->parsed()) return explain_line(where, arguments);
  if (fix_command->parsed()) return fix(arguments);
  if (verify_command->parsed()) return verify_all(arguments);
  if (restore_command->parsed()) return restore_all(arguments);
  return scan(arguments);
}

}  // namespace

int run(std::span<char* const> arguments) {
  try {
    return dispatch(static_cast<int>(arguments.size()), const_cast<char**>(arguments.data()));
  } catch (const std::exception& error) {
    fmt::print(stderr, "cajal-sync: error: {}\n", error.what());
  } catch (...) {
    fmt::print(stderr, "cajal-sync: error: unknown failure\n");
  }
  return kCannot;
}

}  // namespace cajal::sync
