// Which checkpoints of a run stay, and how a folder of a run goes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace cajal::train {

/// The first name in `folder` that its manifest does not list, all names where it has no whole
/// manifest; nothing when all of it is cajal's, or it is not there.
std::optional<std::string> foreign_name_in(const std::filesystem::path& folder);

/// Removes what cajal wrote into `folder`, at once where nothing else is in it: by a rename into
/// `scratch` first, so that no kill leaves a folder that looks whole. Harms nothing where it fails.
void remove_own_folder(const std::filesystem::path& folder,
                       const std::filesystem::path& scratch) noexcept;

/// Removes the checkpoints of `run` but the `keep` newest up to `newest` and, of all of those, the
/// one with the lowest validation loss; and the one that `latest` names, should that be another.
/// Never throws: what could not be removed is tried again next time.
void prune_checkpoints(const std::filesystem::path& run, const std::filesystem::path& newest,
                       int keep, const std::filesystem::path& scratch) noexcept;

}  // namespace cajal::train
