#include "train/manifest.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <system_error>

#include "cajal/error.h"
#include "train/durable_file.h"
#include "train/run_layout.h"

namespace cajal::train {

namespace fs = std::filesystem;

namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr int kFormat = 1;
constexpr std::size_t kHexDigits = 16;
constexpr std::size_t kLongestName = 255;
/// Some hundred thousand files: more than any folder of cajal's holds.
constexpr std::uintmax_t kLargestManifest = std::uintmax_t{64} << 20;
constexpr std::size_t kBlock = std::size_t{1} << 20;

/// One that stays inside its folder and can be printed on a line.
bool is_plain_name(std::string_view name) {
  return !name.empty() && name.size() <= kLongestName && name != "." && name != ".." &&
         name != kManifestFile && std::ranges::none_of(name, [](char c) {
           return c == '/' || c == '\\' || static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
         });
}

[[noreturn]] void fail(const std::string& source, std::string_view problem) {
  throw Error(fmt::format("{}: {}", source, problem),
              "it was damaged, or written by another version of cajal");
}

std::uint64_t count(const json& entry, const char* name, const std::string& source) {
  const auto found = entry.find(name);
  if (found == entry.end() || !found->is_number_unsigned()) {
    fail(source, fmt::format("{} is no whole number", name));
  }
  return found->get<std::uint64_t>();
}

std::string text(const json& entry, const char* name, const std::string& source) {
  const auto found = entry.find(name);
  if (found == entry.end() || !found->is_string()) fail(source, fmt::format("{} is no text", name));
  return found->get<std::string>();
}

std::uint64_t checksum(const json& entry, const std::string& source) {
  const std::string digits = text(entry, "xxh3", source);
  std::uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (error != std::errc() || digits.size() != kHexDigits || end != digits.data() + digits.size()) {
    fail(source, "xxh3 is not 16 hexadecimal digits");
  }
  return value;
}

void refuse_others(const json& object, std::initializer_list<std::string_view> known,
                   const std::string& source) {
  for (const auto& [name, value] : object.items()) {
    if (std::ranges::find(known, name) == known.end()) {
      fail(source, fmt::format("{} is unknown",
                               json(name).dump(-1, ' ', true, json::error_handler_t::replace)));
    }
  }
}

ManifestEntry entry_from_json(const json& object, const std::string& source) {
  if (!object.is_object()) fail(source, "a file is no object");
  ManifestEntry entry{text(object, "name", source), count(object, "bytes", source),
                      checksum(object, source)};
  refuse_others(object, {"name", "bytes", "xxh3"}, source);
  if (!is_plain_name(entry.name)) {
    fail(source, fmt::format("{} is no name of a file in its folder",
                             json(entry.name).dump(-1, ' ', true, json::error_handler_t::replace)));
  }
  return entry;
}

/// Sorts; throws where a name stands twice.
void put_in_order(std::vector<ManifestEntry>& files, const std::string& source) {
  std::ranges::sort(files, {}, &ManifestEntry::name);
  const auto twice = std::ranges::adjacent_find(files, {}, &ManifestEntry::name);
  if (twice != files.end()) fail(source, fmt::format("{} stands in it twice", twice->name));
}

std::optional<double> loss_from_json(const json& root, const std::string& source) {
  const auto found = root.find("validation_loss");
  if (found == root.end() || found->is_null()) return std::nullopt;
  if (!found->is_number() || !std::isfinite(found->get<double>())) {
    fail(source, "validation_loss is no number");
  }
  return found->get<double>();
}

/// Status of the name itself, links not followed; errno through `error`.
struct stat status_of(const fs::path& file, int& error) {
  struct stat status = {};
  error = ::lstat(file.c_str(), &status) == 0 ? 0 : errno;
  return status;
}

std::vector<std::string> remove_listed_files(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(fs::symlink_status(folder, error))) return names_in_folder(folder);
  const auto manifest = read_manifest(folder);
  if (!manifest) return names_in_folder(folder);
  for (const ManifestEntry& entry : manifest->files) ::unlink((folder / entry.name).c_str());
  // The manifest goes last, so that a kill half-way can be made good.
  const auto left = names_in_folder(folder);
  const bool all_gone = std::ranges::none_of(
      left, [&](const std::string& name) { return manifest->find(name) != nullptr; });
  if (all_gone) ::unlink((folder / kManifestFile).c_str());
  ::rmdir(folder.c_str());
  return names_in_folder(folder);
}

}  // namespace

const ManifestEntry* Manifest::find(std::string_view name) const {
  const auto found = std::ranges::lower_bound(files, name, {}, &ManifestEntry::name);
  return found == files.end() || found->name != name ? nullptr : &*found;
}

std::uint64_t Manifest::bytes() const {
  std::uint64_t sum = 0;
  for (const ManifestEntry& entry : files) sum += entry.bytes;
  return sum;
}

ManifestEntry hash_file(const fs::path& file) {
  // Without O_NONBLOCK a named pipe would hang here.
  const FileDescriptor fd = open_file(file, O_RDONLY | O_NONBLOCK, "read");
  std::vector<std::byte> block(kBlock);
  Hasher hasher;
  for (;;) {
    const ssize_t got = ::read(fd.get(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_file_error("read", file, errno);
    if (got == 0) break;
    hasher.update(std::span(block).first(static_cast<std::size_t>(got)));
  }
  return {file.filename().string(), hasher.bytes(), hasher.value()};
}

std::vector<ManifestEntry> hash_folder(const fs::path& folder, std::vector<ManifestEntry> known) {
  std::vector<ManifestEntry> entries;
  std::error_code error;
  for (auto file = fs::directory_iterator(folder, error);
       !error && file != fs::directory_iterator(); file.increment(error)) {
    const std::string name = file->path().filename().string();
    if (name == kManifestFile) continue;
    if (!fs::is_regular_file(file->symlink_status())) {
      throw Error(fmt::format("{} is no plain file", file->path().string()), "move it away");
    }
    const auto found = std::ranges::find(known, name, &ManifestEntry::name);
    const bool is_known = found != known.end() && found->bytes == file->file_size();
    entries.push_back(is_known ? std::move(*found) : hash_file(file->path()));
  }
  if (error) throw_file_error("read", folder, error.value());
  std::ranges::sort(entries, {}, &ManifestEntry::name);
  return entries;
}

void write_manifest(const fs::path& folder, Manifest manifest) {
  const fs::path file = folder / kManifestFile;
  put_in_order(manifest.files, file.string());
  ordered_json root;
  root["format"] = kFormat;
  root["validation_loss"] =
      manifest.validation_loss ? ordered_json(*manifest.validation_loss) : ordered_json(nullptr);
  root["files"] = ordered_json::array();
  for (const ManifestEntry& entry : manifest.files) {
    if (!is_plain_name(entry.name)) {
      throw InvalidArgument(fmt::format("{} cannot list '{}'", file.string(), entry.name),
                            "files that cajal writes have plain names");
    }
    root["files"].push_back({{"name", entry.name},
                             {"bytes", entry.bytes},
                             {"xxh3", fmt::format("{:016x}", entry.xxh3)}});
  }
  write_file_atomically(file, root.dump(2) + '\n');
}

Manifest manifest_from_json(std::string_view text, const std::string& source) {
  const json root = json::parse(text, nullptr, false);
  if (!root.is_object()) fail(source, "it is no whole JSON file");
  if (const auto format = count(root, "format", source); format != kFormat) {
    fail(source, fmt::format("format is {}, and this cajal reads {}", format, kFormat));
  }
  refuse_others(root, {"format", "validation_loss", "files"}, source);
  const auto files = root.find("files");
  if (files == root.end() || !files->is_array()) fail(source, "files is no list");
  Manifest manifest;
  manifest.validation_loss = loss_from_json(root, source);
  for (const json& object : *files) manifest.files.push_back(entry_from_json(object, source));
  put_in_order(manifest.files, source);
  return manifest;
}

std::optional<Manifest> read_manifest(const fs::path& folder) {
  const fs::path file = folder / kManifestFile;
  std::error_code error;
  const auto size = fs::file_size(file, error);
  if (error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory) {
    return std::nullopt;
  }
  if (error) throw_file_error("read", file, error.value());
  if (size > kLargestManifest) fail(file.string(), fmt::format("it has {} bytes", size));
  return manifest_from_json(read_file(file), file.string());
}

std::string problem_with(const fs::path& folder, const ManifestEntry& entry, bool contents) {
  const fs::path file = folder / entry.name;
  int error = 0;
  const struct stat status = status_of(file, error);
  if (error == ENOENT || error == ENOTDIR) return "is missing";
  if (error != 0) return fmt::format("cannot be read: {}", std::generic_category().message(error));
  std::error_code followed;
  const auto size = fs::file_size(file, followed);
  if (followed || !fs::is_regular_file(file)) {
    return S_ISLNK(status.st_mode) ? "is a link to nothing" : "is no plain file";
  }
  if (size != entry.bytes) return fmt::format("has {} bytes instead of {}", size, entry.bytes);
  if (!contents) return {};
  try {
    return hash_file(file).xxh3 == entry.xxh3 ? ""
                                              : "has another checksum than when it was written";
  } catch (const Error& failed) {
    return fmt::format("cannot be read ({})", failed.what());
  }
}

void verify(const fs::path& folder, std::string_view remedy) {
  constexpr std::string_view kRemedy =
      "it was damaged or changed since; take it from a copy, or do without that folder";
  const std::string_view told = remedy.empty() ? kRemedy : remedy;
  const auto manifest = read_manifest(folder);
  if (!manifest) throw Error(fmt::format("{} is missing", (folder / kManifestFile).string()), told);
  for (const ManifestEntry& entry : manifest->files) {
    if (const std::string problem = problem_with(folder, entry); !problem.empty()) {
      throw Error(fmt::format("{} {}", (folder / entry.name).string(), problem), told);
    }
  }
}

std::vector<std::string> remove_listed(const fs::path& folder) noexcept try {
  return remove_listed_files(folder);
} catch (...) {
  try {
    return names_in_folder(folder);
  } catch (...) {
    return {};
  }
}

}  // namespace cajal::train
