#include "cli/sync.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "cli/exit_codes.h"

namespace cajal::cli {

int run_sync(char** arguments) {
  std::error_code error;
  const auto self = std::filesystem::canonical("/proc/self/exe", error);
  const auto here = error ? std::filesystem::absolute(arguments[0]) : self;
  const std::string program = (here.parent_path() / "cajal-sync").string();
  // argv[1] is "sync"; what follows belongs to the other program.
  arguments[1] = const_cast<char*>("cajal-sync");
  ::execv(program.c_str(), arguments + 1);
  fmt::print(
      stderr,
      "cajal: error: {} is not there; it is built where LLVM's development packages are: "
      "apt-get install libclang-19-dev llvm-19-dev, or brew install llvm, then build again\n",
      program);
  return kUsage;
}

}  // namespace cajal::cli
