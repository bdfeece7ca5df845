// The safetensors file format: JSON header, then raw little-endian tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cajal/dtype.h"
#include "cajal/tensor.h"
#include "train/checksum.h"

namespace cajal::train {

/// A tensor in host memory, by name.
struct NamedArray {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  std::span<const std::byte> bytes;
};

/// Writes under a temporary name, flushes to the disk (fsync) and renames; throws Error with the
/// system's own reason, and leaves what stood there before. `metadata` becomes "__metadata__";
/// other libraries want {"format", "pt"} in it. Returns what a
/// manifest says of the file.
ManifestEntry write_safetensors(const std::filesystem::path& file,
                                const std::vector<NamedArray>& arrays,
                                const std::map<std::string, std::string>& metadata);

struct SafetensorsContents {
  std::vector<NamedArray> arrays;  ///< In the order of their bytes; they point into the file.
  std::map<std::string, std::string> metadata;
};

/// Reads a file's bytes; `source` names it in errors. Throws Error as SafetensorsFile does.
SafetensorsContents parse_safetensors(std::span<const std::byte> file, const std::string& source);

/// A file mapped read-only; the spans live as long as this object. Files of other writers need not
/// align their tensors: copy the bytes, do not cast the pointer. Every field of the header is
/// checked before use: overlapping, outside or misshapen tensors and cut-off files throw Error.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& file);
  const std::vector<NamedArray>& arrays() const { return arrays_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// Throws Error that names file and tensor when absent, or of another dtype or shape.
  const NamedArray& require(const std::string& name, DType dtype, const Shape& shape) const;
  bool contains(const std::string& name) const;

 private:
  std::filesystem::path path_;
  std::shared_ptr<const void> mapping_;
  std::vector<NamedArray> arrays_;
  std::map<std::string, std::size_t> index_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace cajal::train
