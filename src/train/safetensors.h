// The safetensors file format: JSON header, then raw little-endian tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cajal/dtype.h"
#include "cajal/tensor.h"
#include "train/checksum.h"
#include "train/durable_file.h"

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
/// other libraries want {"format", "pt"} in it. Returns what a manifest says of the
/// file.
ManifestEntry write_safetensors(const std::filesystem::path& file,
                                const std::vector<NamedArray>& arrays,
                                const std::map<std::string, std::string>& metadata);

/// A tensor in a file, of any type that the format knows now or will know.
struct StoredTensor {
  std::string name;
  std::string dtype;  ///< As the file spells it: "F32", "BOOL", "F8_E4M3".
  Shape shape;
  std::uint64_t position = 0;  ///< Of its first byte in the file.
  std::uint64_t bytes = 0;

  /// F32, BF16 or F16: the types that read_floats() gives exactly.
  bool is_float() const;
};

/// "F32 [768, 2304]", for errors.
std::string describe(const StoredTensor& tensor);

struct SafetensorsHeader {
  std::vector<StoredTensor> tensors;  ///< In the order of their bytes.
  std::map<std::string, std::string> metadata;
};

/// The size of the JSON text that follows the file's first 8 bytes; `head` is the file's first
/// bytes, kSafetensorsHead of them unless it is shorter. Throws Error that says what the file is
/// when it is none.
inline constexpr std::size_t kSafetensorsHead = 512;
std::uint64_t safetensors_header_size(std::span<const std::byte> head, std::uint64_t file_size,
                                      const std::string& source);

/// Reads the JSON text of a file of `file_size` bytes; `source` names it in errors. Every field is
/// checked before use: overlapping, outside or misshapen tensors, a text that would take much more
/// memory than it has bytes, and a cut-off file throw Error.
SafetensorsHeader parse_safetensors_header(std::string_view header, std::uint64_t file_size,
                                           const std::string& source);

/// A file open for reading, its header read and checked. Tensors are read piece by piece and never
/// mapped: one that somebody cuts off meanwhile is then an Error and not the process's end.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& file);
  /// An open regular file; `name` is what errors call it.
  SafetensorsFile(FileDescriptor fd, std::filesystem::path name);

  const std::filesystem::path& path() const { return path_; }
  const std::vector<StoredTensor>& tensors() const { return header_.tensors; }
  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }

  const StoredTensor* find(const std::string& name) const;  ///< Null when absent.
  /// Throws Error that names file and tensor when absent, or of another type or shape.
  const StoredTensor& require(const std::string& name, DType dtype, const Shape& shape) const;

  /// Bytes of a tensor from `first` on. Throws Error when the file has become shorter.
  void read(const StoredTensor& tensor, std::uint64_t first, std::span<std::byte> bytes) const;
  /// Elements of a tensor from `first` on, for which is_float() holds. The values are exact.
  void read_floats(const StoredTensor& tensor, std::uint64_t first, std::span<float> values) const;

 private:
  void read_at(std::uint64_t position, std::span<std::byte> bytes) const;

  std::filesystem::path path_;
  FileDescriptor fd_;
  SafetensorsHeader header_;
  std::unordered_map<std::string, std::size_t> index_;
};

}  // namespace cajal::train
