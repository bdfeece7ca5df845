// A safetensors file: refused, or tensors that lie within it, do not share bytes, and come back the
// same from a file written with them.
#include "train/safetensors.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "support.h"
#include "targets.h"

namespace cajal::fuzz {
namespace {

using train::NamedArray;
using train::SafetensorsContents;

/// Reads every byte of every tensor, so that the address sanitizer sees one outside the file.
void check(const SafetensorsContents& contents, std::size_t file_bytes) {
  std::size_t bytes = 0;
  unsigned sum = 0;
  for (const NamedArray& array : contents.arrays) {
    std::size_t expected = size_of(array.dtype);
    for (const std::int64_t dim : array.shape) expected *= static_cast<std::size_t>(dim);
    require(array.bytes.size() == expected, "a tensor has the bytes of its shape");
    for (const std::byte byte : array.bytes) sum += static_cast<unsigned>(byte);
    bytes += array.bytes.size();
  }
  [[maybe_unused]] static volatile unsigned sink;
  sink = sum;
  require(bytes <= file_bytes, "tensors lie within the file");
}

bool same(const NamedArray& a, const NamedArray& b) {
  return a.name == b.name && a.dtype == b.dtype && a.shape == b.shape &&
         std::ranges::equal(a.bytes, b.bytes);
}

void check_again(const SafetensorsContents& contents) {
  static const Scratch scratch;
  const auto file = scratch / "again.safetensors";
  train::write_safetensors(file, contents.arrays, contents.metadata);
  const std::string text = contents_of(file);
  const auto again = train::parse_safetensors(std::as_bytes(std::span(text)), "again");
  require(again.metadata == contents.metadata, "metadata comes back");
  require(again.arrays.size() == contents.arrays.size(), "all tensors come back");
  for (const NamedArray& array : contents.arrays) {
    require(
        std::ranges::any_of(again.arrays, [&](const auto& other) { return same(array, other); }),
        "a tensor comes back the same");
  }
}

}  // namespace

void safetensors(std::string_view input) {
  accept_or_refuse([&] {
    const auto contents = train::parse_safetensors(std::as_bytes(std::span(input)), "input");
    check(contents, input.size());
    try {
      check_again(contents);
    } catch (const Error&) {
      throw Violation("what was read can be written");
    }
  });
}

}  // namespace cajal::fuzz
