#include "sync/compiled.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <array>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace cajal::sync::testing {
namespace {

namespace fs = std::filesystem;

int run_command(const std::string& command, std::string& output) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return -1;
  std::array<char, 4096> piece{};
  for (std::size_t got = 0; (got = fread(piece.data(), 1, piece.size(), pipe)) > 0;) {
    output.append(piece.data(), got);
  }
  return pclose(pipe);
}

/// Removed with everything in it at the end.
class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "cajal-sync-XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~Folder() {
    std::error_code error;
    if (!path_.empty()) fs::remove_all(path_, error);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// All programs in one file, each in a namespace: their headers are read once. What they include
/// themselves is there by then.
std::string compose(Api api, const std::vector<Source>& sources) {
  std::string out = "#include <";
  out += api == Api::metal ? "Metal/Metal.hpp" : "cuda_runtime.h";
  out += ">\n";
  for (const char* header :
       {"algorithm", "cmath", "cstdint", "cstdio", "cstdlib", "cstring", "functional",
        "initializer_list", "map", "memory", "numeric", "string", "utility", "vector"}) {
    out += fmt::format("#include <{}>\n", header);
  }
  out += "#include \"programs.h\"\n";
  std::string table;
  int number = 0;
  for (const Source& source : sources) {
    out += fmt::format("namespace program{} {{\n#define main program_main\n#line 1 \"{}\"\n{}\n",
                       number, source.name,
                       api == Api::cuda ? without_chevrons(source.text) : source.text);
    out += "#undef main\n#undef CHECK\n}\n";
    table += fmt::format("  {{\"{}\", program{}::program_main, {}}},\n", source.name, number,
                         source.any_other);
    ++number;
  }
  return out + "const std::vector<Program> programs = {\n" + table + "};\n";
}

std::size_t closing(const std::string& text, std::size_t open) {
  int depth = 0;
  for (std::size_t i = open; i < text.size(); ++i) {
    if (text[i] == '(') ++depth;
    if (text[i] == ')' && --depth == 0) return i;
  }
  return std::string::npos;
}

}  // namespace

std::string find_compiler() {
  std::vector<std::string> names = {CAJAL_SYNC_COMPILER, "g++", "clang++", "c++"};
  for (const std::string& name : names) {
    std::string output;
    if (!name.empty() && run_command(name + " --version", output) == 0) return name;
  }
  return {};
}

std::map<std::string, Outcome> run_compiled(Api api, const std::vector<Source>& sources, int seeds,
                                            std::string& why) {
  const Folder folder;
  const std::string file = (folder.path() / "programs.cpp").string();
  const std::string program = (folder.path() / "programs").string();
  const std::string device = CAJAL_SYNC_DEVICE;
  std::ofstream(file) << compose(api, sources);
  const std::string compile =
      fmt::format("{0} -std=c++20 -O0 -w -I {1} {2} {1}/fake.cpp {1}/driver.cpp -o {3}",
                  find_compiler(), device, file, program);
  std::string output;
  if (run_command(compile, output) != 0) {
    why = compile + "\n" + output.substr(0, 4000);
    return {};
  }
  output.clear();
  // Freed host memory is overwritten, so that work that still uses it computes something else.
  if (run_command(fmt::format("MALLOC_PERTURB_=165 {} {}", program, seeds), output) != 0) {
    why = "the programs do not run: " + output.substr(0, 4000);
    return {};
  }
  std::map<std::string, Outcome> out;
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find('\t');
    const std::size_t second = line.find('\t', first + 1);
    if (second == std::string::npos) continue;
    out[line.substr(0, first)] = {std::atoi(line.c_str() + first), line.substr(second + 1)};
  }
  return out;
}

std::string without_chevrons(const std::string& text) {
  std::string out;
  std::size_t at = 0;
  for (std::size_t open = 0; (open = text.find("<<<", at)) != std::string::npos;) {
    const std::size_t close = text.find(">>>", open);
    const std::size_t arguments = close + 3;
    const std::size_t end = close == std::string::npos ? close : closing(text, arguments);
    if (end == std::string::npos) break;
    std::size_t name = open;
    while (name > at && (std::isalnum(static_cast<unsigned char>(text[name - 1])) != 0 ||
                         text[name - 1] == '_')) {
      --name;
    }
    const std::string handed = text.substr(arguments + 1, end - arguments - 1);
    out += text.substr(at, name - at) + "fake::launch({" + text.substr(open + 3, close - open - 3) +
           "}, " + text.substr(name, open - name) + (handed.empty() ? "" : ", ") + handed + ")";
    at = end + 1;
  }
  return out + text.substr(at);
}

}  // namespace cajal::sync::testing
