// Scans files: parse, decide, and what neither could see.
#pragma once

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "sync/decide.h"
#include "sync/inventory.h"
#include "sync/source.h"

namespace cajal::sync {

/// Something could not be done; what() is one line with the remedy.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct FileScan {
  std::string path;
  int number = 0;             ///< Among the files of the program that it was decided with.
  int missing_elsewhere = 0;  ///< Missing waits of the program's other files.
  std::string text;
  Language language = Language::none;
  UnitResult unit;
  Decisions decisions;
  std::vector<SeenWait> hidden;  ///< Seen by the lexer alone.
};

struct ScanOptions {
  std::vector<std::string> flags;
  std::string compile_commands;
  bool whole_program = false;   ///< The files are all of it: nothing else calls their functions.
  bool functions_wait = false;  ///< No function may return with work in flight, whoever calls it.
};

struct ScanResult {
  std::vector<FileScan> files;
  int passed_over = 0;  ///< Host files of a directory that mention no wait.
};

/// Gives a file of the result another text, with all others as they are.
FileScan scan_again(const ScanResult& result, const FileScan& file, const std::string& text,
                    const ScanOptions& options);

std::string read_file(const std::string& path);

/// One text as if it stood at `path`; never throws for a bad source.
FileScan scan_text(const std::string& path, const std::string& text, const ScanOptions& options);

/// Files and directories, several at a time. `progress` is told how many of how many are done.
ScanResult scan_paths(const std::vector<std::string>& paths, const ScanOptions& options,
                      const std::function<void(int, int)>& progress);

}  // namespace cajal::sync
