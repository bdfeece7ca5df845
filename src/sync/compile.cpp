#include "sync/compile.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <sstream>

extern char** environ;

namespace cajal::sync {
namespace {

bool on_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (::access((std::filesystem::path(folder) / program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

/// A compiler that knows the language's SDK, with what makes it check and write nothing.
std::vector<std::string> command_for(Language language) {
  switch (language) {
    case Language::cuda:
      if (!on_path("nvcc")) return {};
      return {"nvcc", "-x", "cu", "--cuda", "-o", "/dev/null", "-Wno-deprecated-gpu-targets"};
    case Language::hip:
      if (!on_path("hipcc")) return {};
      return {"hipcc", "-fsyntax-only", "-x", "hip"};
    case Language::objc:
    case Language::objcxx:
      if (!on_path("xcrun")) return {};
      return {"xcrun", "clang", "-fsyntax-only", "-x",
              language == Language::objc ? "objective-c" : "objective-c++"};
    case Language::cxx:
      if (!on_path("c++")) return {};
      return {"c++", "-fsyntax-only", "-std=c++20", "-x", "c++"};
    case Language::none:
      break;
  }
  return {};
}

}  // namespace

std::optional<bool> compiles(const std::string& path, Language language,
                             const std::vector<std::string>& flags) {
  std::vector<std::string> command = command_for(language);
  if (command.empty()) return std::nullopt;
  command.insert(command.end(), flags.begin(), flags.end());
  // What it includes by a relative name lies beside it; its backup lies there too.
  command.push_back(path);
  std::vector<char*> arguments;
  for (std::string& word : command) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t quiet;
  posix_spawn_file_actions_init(&quiet);
  posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&quiet, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  const int failed =
      ::posix_spawnp(&child, arguments[0], &quiet, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&quiet);
  if (failed != 0) return std::nullopt;
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return std::nullopt;
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace cajal::sync
