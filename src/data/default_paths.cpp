// Where compilers keep the headers of the C++ standard library.
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string>
#include <system_error>

#include "cajal/error.h"
#include "data/corpus.h"

namespace cajal::data {
namespace {

namespace fs = std::filesystem;

int leading_number(const std::string& name) {
  int number = -1;
  std::from_chars(name.data(), name.data() + name.size(), number);
  return number;
}

/// Directories in `root` whose name after `prefix` starts with a number, the highest first.
std::vector<fs::path> by_version(const fs::path& root, const std::string& prefix) {
  std::vector<std::pair<int, fs::path>> found;
  std::error_code error;
  for (fs::directory_iterator entry(root, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(prefix)) continue;
    const int version = leading_number(name.substr(prefix.size()));
    if (version >= 0) found.emplace_back(version, entry->path());
  }
  std::sort(found.rbegin(), found.rend());
  std::vector<fs::path> paths;
  for (auto& [version, path] : found) paths.push_back(std::move(path));
  return paths;
}

std::vector<fs::path> candidates() {
  std::vector<fs::path> paths = by_version("/usr/include/c++", "");
  paths.emplace_back("/usr/include/c++/v1");
  for (const fs::path& llvm : by_version("/usr/lib", "llvm-")) {
    paths.push_back(llvm / "include/c++/v1");
  }
  // macOS: the environment, then what xcode-select chose, then the two places Apple installs to.
  const std::string headers = "usr/include/c++/v1";
  const std::string platform = "Platforms/MacOSX.platform/Developer/SDKs/MacOSX.sdk";
  if (const char* sdk = std::getenv("SDKROOT")) paths.push_back(fs::path(sdk) / headers);
  for (const fs::path developer :
       {"/var/db/xcode_select_link", "/Library/Developer/CommandLineTools",
        "/Applications/Xcode.app/Contents/Developer"}) {
    paths.push_back(developer / "SDKs/MacOSX.sdk" / headers);
    paths.push_back(developer / platform / headers);
  }
  return paths;
}

}  // namespace

std::vector<fs::path> Corpus::default_paths() {
  for (const fs::path& path : candidates()) {
    std::error_code error;
    if (fs::is_regular_file(path / "vector", error)) return {path};
  }
  throw InvalidArgument("no C++ standard library headers found on this machine to train on",
                        "name text files or directories of your own");
}

}  // namespace cajal::data
