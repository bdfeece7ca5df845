// Any text as a configuration file: it is read, or refused by InvalidArgument.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cajal/error.h"
#include "cli/config_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    cajal::cli::parse_config({reinterpret_cast<const char*>(data), size}, "fuzz.toml");
  } catch (const cajal::InvalidArgument&) {
  }
  return 0;
}
