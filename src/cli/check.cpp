// cajal check
#include <fmt/format.h>

#include <sstream>
#include <string>

#include "cajal/error.h"
#include "cli/common_flags.h"
#include "cli/exit_codes.h"
#include "cli/flags.h"
#include "cli/format.h"
#include "cli/session.h"
#include "train/run_check.h"

namespace cajal::cli {
namespace {

using train::FileCheck;

constexpr const char* kFooter =
    "Exit code 0 when every file is as it was written, 1 when one is not.\n"
    "Examples:\n"
    "  cajal check runs/cajal\n"
    "  cajal check runs/cajal/checkpoint-200";

constexpr std::size_t kWidth = 80;
constexpr std::size_t kNameWidth = 42;
constexpr std::size_t kBytesWidth = 15;
constexpr std::size_t kIndent = 4;

/// Wrapped at spaces; a longer word is cut into as many lines as it takes.
std::string indented(const std::string& text) {
  std::istringstream words(text);
  std::string out;
  std::string line;
  for (std::string word; words >> word;) {
    while (!word.empty()) {
      const std::size_t used = line.empty() ? kIndent : line.size() + 1;
      if (!line.empty() && used + word.size() > kWidth) {
        out += line + '\n';
        line.clear();
        continue;
      }
      line += line.empty() ? std::string(kIndent, ' ') : " ";
      const std::size_t room = std::min(word.size(), kWidth - line.size());
      line += word.substr(0, room);
      word.erase(0, room);
    }
  }
  return out + line + '\n';
}

const char* word_for(FileCheck::State state) {
  switch (state) {
    case FileCheck::State::ok:
      return "ok";
    case FileCheck::State::stale:
      return "note";
    case FileCheck::State::unchecked:
      return "unchecked";
    case FileCheck::State::damaged:
      return "DAMAGED";
  }
  return "";
}

/// Name, bytes, "ok" or what is wrong; what does not fit into a line goes below it.
std::string describe(const FileCheck& check) {
  const std::string name = one_line(check.name);
  const std::string bytes =
      check.bytes ? format_integer(static_cast<std::int64_t>(*check.bytes)) : "-";
  const std::string what = check.state == FileCheck::State::ok ? "ok" : one_line(check.what);
  std::string out;
  if (name.size() > kNameWidth) out = indented(name);
  std::string line = fmt::format("{:<{}}{:>{}}  ", name.size() > kNameWidth ? "" : name, kNameWidth,
                                 bytes, kBytesWidth);
  if (line.size() + what.size() <= kWidth) return out + line + what + '\n';
  line += word_for(check.state);
  return out + line + '\n' + indented(what);
}

class Check final : public Subcommand {
 public:
  explicit Check(CLI::App& app) : Subcommand(app), flags_(app) {
    app.footer(kFooter);
    flags_.path("DIR", directory_, "a run's directory, a checkpoint, or a folder with a model");
    add_verbose(flags_, verbose_);
  }

  void check(Session& /*session*/) override {
    if (directory_.empty())
      throw InvalidArgument("check needs a directory", "cajal check runs/cajal");
  }

  int run(Session& session) override;

 private:
  Flags flags_;
  std::filesystem::path directory_;
};

int Check::run(Session& session) {
  std::int64_t files = 0;
  std::int64_t damaged = 0;
  std::int64_t unchecked = 0;
  std::uint64_t bytes = 0;
  train::check_directory(directory_, [&](const FileCheck& check) {
    ++files;
    bytes += check.bytes.value_or(0);
    damaged += check.state == FileCheck::State::damaged ? 1 : 0;
    unchecked += check.state == FileCheck::State::unchecked ? 1 : 0;
    session.console.print(describe(check));
  });
  const std::string total = fmt::format("{} file{}, {}", files, files == 1 ? "" : "s",
                                        format_bytes(static_cast<std::size_t>(bytes)));
  if (damaged > 0) {
    throw Error(fmt::format("{} of {} files in {} {} not as written", damaged, files,
                            directory_.string(), damaged == 1 ? "is" : "are"),
                "take them from a copy; cajal train --resume names a checkpoint that is whole");
  }
  session.console.line(unchecked == 0 ? total + ": all as they were written"
                                      : fmt::format("{}: {} without a checksum, none seen damaged",
                                                    total, unchecked));
  return kSuccess;
}

}  // namespace

std::unique_ptr<Subcommand> add_check(CLI::App& program) {
  return std::make_unique<Check>(
      *program.add_subcommand("check", "hold every file of a run against its checksum"));
}

}  // namespace cajal::cli
