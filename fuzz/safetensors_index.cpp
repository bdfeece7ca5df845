// model.safetensors.index.json: refused, or names of files in the index's own folder.
#include "train/safetensors_index.h"

#include <string>

#include "support.h"
#include "targets.h"

namespace cajal::fuzz {

void safetensors_index(std::string_view input) {
  accept_or_refuse([&] {
    for (const auto& [tensor, file] : train::parse_safetensors_index(input, "index.json")) {
      require(!file.empty() && file != "." && file != "..", "a file has a name");
      require(file.find('/') == std::string::npos, "a file lies in the index's folder");
      require(file.find('\0') == std::string::npos, "a name ends at its end");
    }
  });
}

}  // namespace cajal::fuzz
