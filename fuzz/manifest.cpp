// manifest.json: refused, or a list of plain files of one folder, each once and in order, that
// comes back the same when it is written.
#include "train/manifest.h"

#include <filesystem>
#include <string>

#include "support.h"
#include "targets.h"

namespace cajal::fuzz {
namespace {

/// What a name must never be, for the listed files are removed again.
void require_plain(const std::string& name) {
  require(!name.empty() && name != "." && name != "..", "a name is that of a file");
  require(name.find('/') == std::string::npos, "a name stays in its folder");
  require(name.find('\0') == std::string::npos, "a name ends at its end");
  require(name != train::kManifestFile, "a manifest does not list itself");
}

}  // namespace

void manifest(std::string_view input) {
  static const Scratch scratch;
  accept_or_refuse([&] {
    const train::Manifest read = train::manifest_from_json(input, "manifest.json");
    const std::string* last = nullptr;
    for (const train::ManifestEntry& entry : read.files) {
      require_plain(entry.name);
      require(last == nullptr || *last < entry.name, "names are in order, each once");
      require(read.find(entry.name) != nullptr && *read.find(entry.name) == entry,
              "a listed file is found");
      last = &entry.name;
    }
    try {
      train::write_manifest(scratch / ".", read);
      const auto again = train::read_manifest(scratch / ".");
      require(again && *again == read, "a manifest comes back the same");
    } catch (const Error&) {
      throw Violation("what was read can be written");
    }
  });
}

}  // namespace cajal::fuzz
