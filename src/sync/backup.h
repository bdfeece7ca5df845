// Files are written whole or not at all, and their originals are kept beside them.
#pragma once

#include <string>

namespace cajal::sync {

/// Replaces the file by a rename; keeps its permissions.
void write_atomically(const std::string& path, const std::string& text);

/// Keeps `before` as FILE.backup (.backup.1 and so on when there is one), notes both hashes in a
/// manifest beside it, then writes `after`. Gives the backup's name.
std::string write_with_backup(const std::string& path, const std::string& before,
                              const std::string& after);

/// Puts the newest backup back. Throws Failure, with a diff, when the file was edited since.
std::string restore(const std::string& path);

/// The newest backup that has a manifest; empty when there is none.
std::string newest_backup(const std::string& path);

}  // namespace cajal::sync
