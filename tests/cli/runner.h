// Runs command lines in this process against an engine that the test scripts.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/app.h"

namespace cajal::cli::testing {

struct Outcome {
  int code = -1;
  std::string out;
  std::string err;
};

/// Standard output and error are files, so nothing is a terminal.
Outcome run_cajal(std::vector<std::string> arguments, const Engine& engine);

/// Whether this system hands out pseudo-terminals; a bare chroot does not.
bool have_terminals();

/// Standard output is a terminal of that many columns; `out` is all that was sent to it.
Outcome run_cajal_on_terminal(std::vector<std::string> arguments, const Engine& engine,
                              int columns);

/// What the engine was asked for last, and what it answers.
struct Script {
  train::TrainOptions train;
  train::GenerateOptions generate;
  train::BenchmarkOptions benchmark;
  int calls = 0;
  std::int64_t steps = 3;  ///< Steps that a training run reports.
};

/// Records its options; reports `script.steps` steps, an evaluation and a checkpoint.
Engine scripted_engine(Script& script);

/// A directory that goes with the test.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::string write(const std::string& name, const std::string& text) const;  ///< Returns its path.

 private:
  std::filesystem::path path_;
};

std::vector<std::string> lines_of(const std::string& text);

}  // namespace cajal::cli::testing
