// A safetensors file: refused, or tensors that lie within it one after another, can be read through
// the file to the last byte, and come back the same from a file written with them.
#include "train/safetensors.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "support.h"
#include "targets.h"

namespace cajal::fuzz {
namespace {

using train::NamedArray;
using train::SafetensorsFile;
using train::StoredTensor;

void check_places(const SafetensorsFile& file, std::uint64_t file_size) {
  std::uint64_t bytes = 0;
  for (const StoredTensor& tensor : file.tensors()) {
    require(tensor.position <= file_size && tensor.bytes <= file_size - tensor.position,
            "a tensor lies within the file");
    bytes += tensor.bytes;
    require(file.find(tensor.name) == &tensor, "a tensor is found by its name");
  }
  require(bytes <= file_size, "tensors share no bytes");
}

std::vector<std::byte> bytes_of(const SafetensorsFile& file, const StoredTensor& tensor) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(tensor.bytes));
  file.read(tensor, 0, bytes);
  if (tensor.is_float()) {
    std::int64_t count = 1;
    for (const std::int64_t dim : tensor.shape) count *= dim;
    std::vector<float> values(static_cast<std::size_t>(count));
    file.read_floats(tensor, 0, values);
  }
  return bytes;
}

std::optional<DType> written_dtype(const std::string& name) {
  if (name == "F32") return DType::f32;
  if (name == "BF16") return DType::bf16;
  if (name == "I32") return DType::i32;
  return std::nullopt;
}

/// Writes the tensors of types that cajal writes, and reads them again.
void check_again(const SafetensorsFile& file, const std::filesystem::path& name) {
  std::vector<std::pair<const StoredTensor*, std::vector<std::byte>>> tensors;
  std::vector<NamedArray> arrays;
  tensors.reserve(file.tensors().size());
  for (const StoredTensor& tensor : file.tensors()) {
    tensors.emplace_back(&tensor, bytes_of(file, tensor));
    const auto dtype = written_dtype(tensor.dtype);
    if (dtype) arrays.push_back({tensor.name, *dtype, tensor.shape, tensors.back().second});
  }
  train::write_safetensors(name, arrays, file.metadata());
  const SafetensorsFile again(name);
  require(again.metadata() == file.metadata(), "metadata comes back");
  require(again.tensors().size() == arrays.size(), "all tensors come back");
  for (const auto& [tensor, bytes] : tensors) {
    if (!written_dtype(tensor->dtype)) continue;
    const StoredTensor* const found = again.find(tensor->name);
    require(found != nullptr && found->shape == tensor->shape && found->dtype == tensor->dtype &&
                bytes_of(again, *found) == bytes,
            "a tensor comes back the same");
  }
}

}  // namespace

void safetensors(std::string_view input) {
  static const Scratch scratch;
  const auto name = scratch.put("model.safetensors", input);
  accept_or_refuse([&] {
    const SafetensorsFile file(name);
    check_places(file, input.size());
    try {
      check_again(file, scratch / "again.safetensors");
    } catch (const Error&) {
      throw Violation("what was opened can be read and written");
    }
  });
}

}  // namespace cajal::fuzz
