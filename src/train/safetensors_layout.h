// Where every tensor of a safetensors file will lie, before its bytes are at hand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cajal/dtype.h"
#include "cajal/tensor.h"

namespace cajal::train {

/// A tensor to be written: all of it but the bytes.
struct ArrayInfo {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
};

struct SafetensorsLayout {
  struct Place {
    std::size_t array = 0;     ///< Index into what was laid out.
    std::uint64_t offset = 0;  ///< From the start of the file.
    std::uint64_t bytes = 0;
  };
  std::string header;         ///< The file's first bytes: its length, then JSON.
  std::vector<Place> places;  ///< One behind the other, from the header's end to the file's.
};

/// The format's name of a type. Throws InvalidArgument for one that cajal stores nothing in.
std::string_view safetensors_name(DType dtype);

/// The reference implementation's order: wide elements first, then by name, so that each tensor is
/// aligned. `metadata` becomes "__metadata__". Throws InvalidArgument for a name that stands twice,
/// is no UTF-8 or is "__metadata__", and for a shape that is none.
SafetensorsLayout lay_out_safetensors(const std::vector<ArrayInfo>& arrays,
                                      const std::map<std::string, std::string>& metadata);

}  // namespace cajal::train
