// manifest.json: what cajal wrote into a folder, so that it is known whole, and alone removed
// again.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "train/checksum.h"

namespace cajal::train {

inline constexpr std::string_view kManifestFile = "manifest.json";

struct Manifest {
  std::vector<ManifestEntry> files;       ///< In the order of their names; not manifest.json.
  std::optional<double> validation_loss;  ///< Of a checkpoint, where one was measured.

  const ManifestEntry* find(std::string_view name) const;
  std::uint64_t bytes() const;  ///< Of all files.
  bool operator==(const Manifest&) const = default;
};

/// Reads the whole file. Throws Error.
ManifestEntry hash_file(const std::filesystem::path& file);

/// The entries of every file in `folder` but manifest.json; those in `known`, if as large, are not
/// read again. Throws Error for what a manifest cannot list: a folder, a link, a pipe.
std::vector<ManifestEntry> hash_folder(const std::filesystem::path& folder,
                                       std::vector<ManifestEntry> known = {});

/// Puts manifest.json into `folder`, on the disk before this returns. Throws InvalidArgument for
/// names that read_manifest() refuses, Error where it cannot be written.
void write_manifest(const std::filesystem::path& folder, Manifest manifest);

/// None where `folder` has no manifest.json. Throws Error when it is damaged, of another version,
/// or names anything but plain files of the folder itself.
std::optional<Manifest> read_manifest(const std::filesystem::path& folder);
Manifest manifest_from_json(std::string_view text, const std::string& source);

/// What is wrong with the file, in words that follow its name ("is missing"); empty when nothing
/// is. Checks the size alone where `contents` is false, which costs no reading.
std::string problem_with(const std::filesystem::path& folder, const ManifestEntry& entry,
                         bool contents = true);

/// Reads every listed file. Throws Error that names the first one that is missing, of another size
/// or changed; also where there is no manifest. `remedy` ends the message.
void verify(const std::filesystem::path& folder, std::string_view remedy = {});

/// Removes the files that the folder's manifest lists, the manifest, and the folder itself when it
/// is empty then. Nothing else: returns the names that it left, all of them where there is no whole
/// manifest or `folder` is a link. Never follows a link, never throws.
std::vector<std::string> remove_listed(const std::filesystem::path& folder) noexcept;

}  // namespace cajal::train
