// How the names at the top of a run directory lead to its latest checkpoint.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace cajal::train {

/// symbolic: `latest` and every file of the checkpoint are links. The other two are for file
/// systems without symbolic links (exFAT, SMB): `latest` is a text file with the folder's name, and
/// the files that make a model are hard links, or copies where there are none of those either.
enum class Links { symbolic, hard, copies };

/// What the file system can do, found out by trying inside `scratch`. Throws Error when not even a
/// file can be made there.
Links usable_links(const std::filesystem::path& scratch);

/// Throws InvalidArgument when `latest` in `run` is neither a link to a checkpoint, nor the text
/// file, nor a copy of a checkpoint.
void require_own_latest(const std::filesystem::path& run);

/// Points `latest` and the files beside it at `checkpoint`, a folder in `run`. Each name is
/// replaced by one rename, from `scratch`. What did not come from a checkpoint of this run is left
/// as it is. Returns what the user should know of, empty when all is well; the checkpoint itself is
/// whole whatever happens here.
std::vector<std::string> point_at(const std::filesystem::path& run,
                                  const std::filesystem::path& checkpoint,
                                  const std::filesystem::path& scratch, Links links) noexcept;

}  // namespace cajal::train
