// manifest.json of any contents: refused in one line, or names that stay inside their folder.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cajal/error.h"
#include "train/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    for (const auto& entry : cajal::train::manifest_from_json(text, "input").files) {
      if (entry.name.empty() || entry.name.find('/') != std::string::npos) std::abort();
    }
  } catch (const cajal::Error& error) {
    if (std::string_view(error.what()).find('\n') != std::string_view::npos) std::abort();
  }
  return 0;
}
