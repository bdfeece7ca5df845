#include "data/file_listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <system_error>

#include "cajal/error.h"
#include "data/file.h"
#include "data/token_shard.h"

namespace cajal::data {
namespace {

namespace fs = std::filesystem;

constexpr std::array kOwnNames = {
    "config.json",    "model.safetensors", "optimizer.safetensors", "trainer_state.json",
    "tokenizer.json", "metrics.jsonl",     "manifest.json",         "latest",
    "tokens"};
constexpr const char* kCheckpointPrefix = "checkpoint-";

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(fs::symlink_status(path, error));
}

/// Calls visit(entry) for each entry; false when the directory cannot be read.
template <class Visit>
bool for_each_entry(const fs::path& directory, Visit&& visit) {
  std::error_code error;
  fs::directory_iterator entry(directory, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) visit(*entry);
  return !error;
}

class Lister {
 public:
  FileListing listing;

  void add(const fs::path& path) {
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (fs::is_directory(status)) {
      walk(path);
    } else if (fs::is_regular_file(status)) {
      listing.files.push_back(path);
    } else if (status.type() == fs::file_type::not_found) {
      throw InvalidArgument(fmt::format("{} does not exist", path.string()),
                            "name text files or directories");
    } else {
      throw InvalidArgument(fmt::format("{} is neither a file nor a directory", path.string()),
                            "name text files or directories");
    }
  }

 private:
  void walk(const fs::path& root) {
    std::vector<fs::path> open{root};
    bool own_run = is_run_directory(root);
    if (own_run) ++listing.runs;
    while (!open.empty()) {
      const fs::path directory = std::move(open.back());
      open.pop_back();
      const bool readable = for_each_entry(directory, [&](const fs::directory_entry& entry) {
        if (!(own_run && is_own_name(entry.path()))) visit(entry, open);
      });
      if (!readable) ++listing.unreadable;
      own_run = false;  // Only the root's own entries have those names.
    }
  }

  static bool is_own_name(const fs::path& path) {
    const std::string name = path.filename().string();
    return name.starts_with(kCheckpointPrefix) ||
           std::find(kOwnNames.begin(), kOwnNames.end(), name) != kOwnNames.end();
  }

  void visit(const fs::directory_entry& entry, std::vector<fs::path>& open) {
    std::error_code ignored;
    if (entry.path().filename().native().starts_with('.')) {
      ++listing.hidden;
    } else if (entry.is_directory(ignored)) {
      if (entry.is_symlink(ignored)) return;
      if (is_run_directory(entry.path())) {
        ++listing.runs;
      } else {
        open.push_back(entry.path());
      }
    } else if (entry.is_regular_file(ignored)) {
      const bool shard = entry.path().extension() == ".bin" && begins_as_shard(entry.path());
      (shard ? listing.shards : listing.files).push_back(entry.path());
    }
  }
};

void sort_once(std::vector<fs::path>& paths) {
  const auto by_name = [](const fs::path& a, const fs::path& b) { return a.native() < b.native(); };
  std::sort(paths.begin(), paths.end(), by_name);
  paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
}

}  // namespace

bool is_run_directory(const fs::path& directory) {
  if (is_there(directory / kRunMarker)) return true;
  if (!is_there(directory / "latest")) return false;
  bool found = false;
  for_each_entry(directory, [&](const fs::directory_entry& entry) {
    found = found || (entry.path().filename().string().starts_with(kCheckpointPrefix) &&
                      is_there(entry.path() / "trainer_state.json"));
  });
  return found;
}

bool begins_as_shard(const fs::path& path) {
  try {
    const InputFile file(path);
    std::int32_t magic = 0;
    std::array<char, sizeof magic> bytes{};
    if (file.read_at(0, bytes) < bytes.size()) return false;
    std::memcpy(&magic, bytes.data(), sizeof magic);
    return magic == kShardMagic;
  } catch (const Error&) {
    return false;
  }
}

FileListing list_files(const std::vector<fs::path>& paths) {
  Lister lister;
  for (const fs::path& path : paths) lister.add(path);
  sort_once(lister.listing.files);
  sort_once(lister.listing.shards);
  return std::move(lister.listing);
}

}  // namespace cajal::data
