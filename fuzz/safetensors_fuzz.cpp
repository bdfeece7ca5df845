// Any bytes are either a whole safetensors file or an Error; nothing else may happen.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "cajal/error.h"
#include "train/safetensors.h"

namespace {

/// Reads every byte of every tensor, so that the address sanitizer sees one outside the file.
void check(const cajal::train::SafetensorsContents& contents, std::span<const std::byte> file) {
  std::size_t bytes = 0;
  unsigned sum = 0;
  for (const auto& array : contents.arrays) {
    std::size_t expected = cajal::size_of(array.dtype);
    for (const std::int64_t dim : array.shape) expected *= static_cast<std::size_t>(dim);
    if (array.bytes.size() != expected) std::abort();
    for (const std::byte byte : array.bytes) sum += static_cast<unsigned>(byte);
    bytes += array.bytes.size();
  }
  static volatile unsigned sink;
  sink = sum;
  if (bytes > file.size()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  try {
    check(cajal::train::parse_safetensors(file, "input"), file);
  } catch (const cajal::Error& error) {
    if (std::string(error.what()).find('\n') != std::string::npos) std::abort();
  }
  return 0;
}
