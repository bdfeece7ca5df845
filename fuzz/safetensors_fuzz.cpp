// Any bytes are either a whole safetensors file or an Error; nothing else may happen.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "cajal/error.h"
#include "train/safetensors.h"

namespace {

/// Every tensor lies within the file, and none takes bytes of another.
void check(const cajal::train::SafetensorsHeader& header, std::uint64_t file_size) {
  std::uint64_t bytes = 0;
  for (const auto& tensor : header.tensors) {
    if (tensor.position > file_size || tensor.bytes > file_size - tensor.position) std::abort();
    bytes += tensor.bytes;
  }
  if (bytes > file_size) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  try {
    const auto head = file.first(std::min(size, cajal::train::kSafetensorsHead));
    const auto header = cajal::train::safetensors_header_size(head, size, "input");
    const std::string_view text(reinterpret_cast<const char*>(data) + sizeof(header), header);
    check(cajal::train::parse_safetensors_header(text, size, "input"), size);
  } catch (const cajal::Error& error) {
    if (std::string(error.what()).find('\n') != std::string::npos) std::abort();
  }
  return 0;
}
