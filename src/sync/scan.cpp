#include "sync/scan.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "sync/frontend/parse.h"
#include "sync/link.h"

namespace cajal::sync {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> flags_for(const std::string& path, const ScanOptions& options) {
  std::vector<std::string> flags = options.flags;
  if (options.compile_commands.empty()) return flags;
  const auto json = nlohmann::json::parse(read_file(options.compile_commands), nullptr, false);
  if (!json.is_array()) {
    throw Failure(options.compile_commands + ": no compilation database; give -p a JSON array");
  }
  for (const auto& entry : json) {
    const std::string folder = entry.value("directory", ".");
    const fs::path file = fs::path(folder) / entry.value("file", "");
    if (fs::weakly_canonical(file) != fs::weakly_canonical(path)) continue;
    std::vector<std::string> words;
    if (entry.contains("arguments")) {
      words = entry["arguments"].get<std::vector<std::string>>();
    } else {
      std::istringstream command(entry.value("command", ""));
      words.assign(std::istream_iterator<std::string>(command), {});
    }
    for (std::size_t i = 1; i < words.size(); ++i) {
      const bool pair =
          words[i] == "-I" || words[i] == "-isystem" || words[i] == "-D" || words[i] == "-include";
      const bool one = words[i].starts_with("-I") || words[i].starts_with("-D") ||
                       words[i].starts_with("-std=") || words[i].starts_with("-fno-objc");
      if (pair && i + 1 < words.size()) {
        flags.push_back(words[i]);
        flags.push_back(words[++i]);
      } else if (one) {
        flags.push_back(words[i]);
      }
    }
    flags.push_back("-I" + folder);
    break;
  }
  return flags;
}

std::vector<std::string> gather(const std::vector<std::string>& paths, bool all, int& passed_over) {
  std::vector<std::string> out;
  for (const std::string& path : paths) {
    std::error_code error;
    if (fs::is_directory(path, error)) {
      std::vector<std::string> inside;
      for (const auto& entry : fs::recursive_directory_iterator(
               path, fs::directory_options::skip_permission_denied, error)) {
        if (!entry.is_regular_file(error)) continue;
        const std::string name = entry.path().string();
        if (frontend::language_of(name) == Language::none) continue;
        if (all || mentions_wait(read_file(name))) {
          inside.push_back(name);
        } else {
          ++passed_over;
        }
      }
      std::sort(inside.begin(), inside.end());
      out.insert(out.end(), inside.begin(), inside.end());
    } else if (!fs::exists(path, error)) {
      throw Failure(path + ": no such file or directory");
    } else if (frontend::language_of(path) == Language::none) {
      throw Failure(path + ": no host code; give a .mm, .m, .cpp, .cc, .cu or .hip file");
    } else {
      out.push_back(path);
    }
  }
  return out;
}

/// Waits of the text that the tree has not: inside functions that do not parse, dead code, macros.
void add_hidden(FileScan& scan) {
  for (const SeenWait& seen : find_waits(scan.text)) {
    if (scan.unit.seen_waits.contains(seen.line)) continue;
    if (seen.place != Place::code) {
      scan.hidden.push_back(seen);
      continue;
    }
    WaitSite site;
    site.line = seen.line;
    site.call = seen.call;
    site.settled = Settled::unknown;
    site.why = "the parser does not see this call";
    for (const Function& function : scan.unit.program.functions) {
      if (seen.line < function.line || seen.line > function.end_line) continue;
      site.function = function.name;
      if (!function.opaque.empty()) site.why = "the function does not parse: " + function.opaque;
    }
    Decision decision;
    decision.verdict = Verdict::unknown;
    decision.reason = site.why;
    scan.unit.program.waits.push_back(site);
    scan.unit.wait_texts.emplace_back();
    scan.decisions.waits.push_back(decision);
    scan.decisions.commits.emplace_back();
  }
}

}  // namespace

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw Failure(path + ": cannot be read; check that it exists and its permissions");
  return {std::istreambuf_iterator<char>(in), {}};
}

namespace {

FileScan parse_text(const std::string& path, const std::string& text, const ScanOptions& options) {
  FileScan scan;
  scan.path = path;
  scan.text = text;
  scan.language = frontend::language_of(path);
  scan.unit = frontend::parse(path, text, scan.language, flags_for(path, options));
  for (Function& function : scan.unit.program.functions) {
    function.external = function.external || (options.functions_wait && !function.block);
  }
  return scan;
}

/// Decides on all of them as one program.
std::vector<Decisions> decide_together(const std::vector<const FileScan*>& scans) {
  std::vector<const Program*> programs;
  std::vector<std::string> names;
  for (const FileScan* scan : scans) {
    programs.push_back(&scan->unit.program);
    names.push_back(fs::path(scan->path).filename().string());
  }
  return split(decide(link(programs, std::move(names))), programs);
}

/// Several at a time.
void for_each_file(const std::vector<std::string>& files,
                   const std::function<void(std::size_t)>& work_on,
                   const std::function<void(int, int)>& progress) {
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  int done = 0;
  std::string failure;
  const auto work = [&] {
    for (std::size_t i = next++; i < files.size(); i = next++) {
      try {
        work_on(i);
      } catch (const std::exception& error) {
        const std::lock_guard lock(mutex);
        failure = error.what();
      }
      const std::lock_guard lock(mutex);
      if (progress) progress(++done, static_cast<int>(files.size()));
    }
  };
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  const std::size_t count = std::min<std::size_t>(cores, files.size());
  std::vector<std::jthread> threads;
  for (std::size_t i = 1; i < count; ++i) threads.emplace_back(work);
  work();
  threads.clear();
  if (!failure.empty()) throw Failure(failure);
}

}  // namespace

FileScan scan_text(const std::string& path, const std::string& text, const ScanOptions& options) {
  FileScan scan = parse_text(path, text, options);
  scan.decisions = decide(scan.unit.program);
  add_hidden(scan);
  return scan;
}

FileScan scan_again(const ScanResult& result, const FileScan& file, const std::string& text,
                    const ScanOptions& options) {
  if (!options.whole_program) return scan_text(file.path, text, options);
  FileScan scan = parse_text(file.path, text, options);
  scan.number = file.number;
  std::vector<const FileScan*> scans;
  for (const FileScan& one : result.files) {
    scans.push_back(one.number == file.number ? &scan : &one);
  }
  const std::vector<Decisions> decisions = decide_together(scans);
  for (const FileScan* one : scans) {
    const auto& here = decisions[static_cast<std::size_t>(one->number)];
    if (one == &scan) continue;
    scan.missing_elsewhere += static_cast<int>(here.missing.size());
  }
  scan.decisions = decisions[static_cast<std::size_t>(scan.number)];
  add_hidden(scan);
  return scan;
}

ScanResult scan_paths(const std::vector<std::string>& paths, const ScanOptions& options,
                      const std::function<void(int, int)>& progress) {
  ScanResult result;
  const std::vector<std::string> files = gather(paths, options.whole_program, result.passed_over);
  result.files.resize(files.size());
  for_each_file(
      files,
      [&](std::size_t i) {
        const std::string text = read_file(files[i]);
        result.files[i] = options.whole_program ? parse_text(files[i], text, options)
                                                : scan_text(files[i], text, options);
      },
      progress);
  if (!options.whole_program || files.empty()) return result;
  std::vector<const FileScan*> scans;
  for (FileScan& file : result.files) {
    file.number = static_cast<int>(scans.size());
    scans.push_back(&file);
  }
  std::vector<Decisions> decisions = decide_together(scans);
  std::size_t missing = 0;
  for (const Decisions& one : decisions) missing += one.missing.size();
  for (std::size_t i = 0; i < files.size(); ++i) {
    FileScan& file = result.files[i];
    file.decisions = std::move(decisions[i]);
    file.missing_elsewhere = static_cast<int>(missing - file.decisions.missing.size());
    add_hidden(file);
  }
  return result;
}

}  // namespace cajal::sync
