#include "cli/version.h"

#include <fmt/format.h>
#include <oneapi/dnnl/dnnl.h>

namespace cajal::cli {

std::string version() { return CAJAL_VERSION; }
std::string compiler() { return CAJAL_COMPILER; }
std::string build_type() { return CAJAL_BUILD_TYPE; }

std::string onednn_version() {
  const dnnl_version_t* loaded = dnnl_version();
  return fmt::format("{}.{}.{}", loaded->major, loaded->minor, loaded->patch);
}

}  // namespace cajal::cli
