#include "train/safetensors_layout.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <string_view>
#include <utility>

#include "cajal/error.h"
#include "train/in_quotes.h"

namespace cajal::train {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "the format's tensors are little-endian");

constexpr std::size_t kPrefix = sizeof(std::uint64_t);  // The header's length.
constexpr std::string_view kMetadata = "__metadata__";

std::uint64_t bytes_of(const ArrayInfo& array) {
  std::uint64_t bytes = size_of(array.dtype);
  for (const std::int64_t dim : array.shape) {
    if (dim < 0 || __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(dim), &bytes)) {
      throw InvalidArgument(fmt::format("tensor {} cannot have the shape [{}]",
                                        in_quotes(array.name), fmt::join(array.shape, ", ")));
    }
  }
  return bytes;
}

void check_names(const std::vector<ArrayInfo>& arrays) {
  std::set<std::string_view> names;
  for (const ArrayInfo& array : arrays) {
    if (array.name == kMetadata || !names.insert(array.name).second) {
      throw InvalidArgument(fmt::format("two safetensors entries named {}", in_quotes(array.name)));
    }
  }
}

std::vector<std::size_t> file_order(const std::vector<ArrayInfo>& arrays) {
  std::vector<std::size_t> order(arrays.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
    const std::size_t a_size = size_of(arrays[a].dtype);
    const std::size_t b_size = size_of(arrays[b].dtype);
    return a_size != b_size ? a_size > b_size : arrays[a].name < arrays[b].name;
  });
  return order;
}

std::string make_header(const std::vector<ArrayInfo>& arrays,
                        const std::vector<SafetensorsLayout::Place>& places,
                        const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[std::string(kMetadata)] = metadata;
  for (const SafetensorsLayout::Place& place : places) {
    const ArrayInfo& array = arrays[place.array];
    header[array.name] = {{"dtype", safetensors_name(array.dtype)},
                          {"shape", array.shape},
                          {"data_offsets", {place.offset, place.offset + place.bytes}}};
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const json::exception&) {
    throw InvalidArgument("a tensor's name or the metadata of a safetensors file is not UTF-8");
  }
  text.append((kPrefix - text.size() % kPrefix) % kPrefix, ' ');
  const auto length = std::bit_cast<std::array<char, kPrefix>>(std::uint64_t{text.size()});
  return std::string(length.begin(), length.end()) + text;
}

}  // namespace

std::string_view safetensors_name(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "F32";
    case DType::bf16:
      return "BF16";
    case DType::i32:
      return "I32";
    default:
      throw InvalidArgument(fmt::format("no tensor of type {} is stored", name_of(dtype)));
  }
}

SafetensorsLayout lay_out_safetensors(const std::vector<ArrayInfo>& arrays,
                                      const std::map<std::string, std::string>& metadata) {
  check_names(arrays);
  SafetensorsLayout layout;
  std::uint64_t offset = 0;  // The header counts from its own end.
  for (const std::size_t array : file_order(arrays)) {
    layout.places.push_back({array, offset, bytes_of(arrays[array])});
    offset += layout.places.back().bytes;
  }
  layout.header = make_header(arrays, layout.places, metadata);
  for (SafetensorsLayout::Place& place : layout.places) place.offset += layout.header.size();
  return layout;
}

}  // namespace cajal::train
