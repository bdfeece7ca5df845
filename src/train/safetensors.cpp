#include "train/safetensors.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "cajal/error.h"
#include "train/half.h"
#include "train/in_quotes.h"
#include "train/safetensors_layout.h"

namespace cajal::train {

static_assert(std::endian::native == std::endian::little, "the format's tensors are little-endian");

ManifestEntry write_safetensors(const std::filesystem::path& file,
                                const std::vector<NamedArray>& arrays,
                                const std::map<std::string, std::string>& metadata) {
  std::vector<ArrayInfo> infos;
  for (const NamedArray& array : arrays) infos.push_back({array.name, array.dtype, array.shape});
  const SafetensorsLayout layout = lay_out_safetensors(infos, metadata);
  for (const SafetensorsLayout::Place& place : layout.places) {
    const NamedArray& array = arrays[place.array];
    if (place.bytes == array.bytes.size()) continue;
    throw InvalidArgument(fmt::format("tensor {} of shape [{}] and dtype {} given {} bytes",
                                      in_quotes(array.name), fmt::join(array.shape, ", "),
                                      safetensors_name(array.dtype), array.bytes.size()));
  }
  AtomicFile out(file);
  out.write(layout.header);
  for (const SafetensorsLayout::Place& place : layout.places) out.write(arrays[place.array].bytes);
  return out.commit();
}

namespace {

constexpr std::size_t kPrefix = 8;  // The header's size, as uint64.

FileDescriptor open_to_read(const std::filesystem::path& file) {
  // Without O_NONBLOCK a named pipe would hang here.
  return open_file(file, O_RDONLY | O_NONBLOCK | O_NOCTTY, "read");
}

std::uint64_t size_of_regular(const FileDescriptor& fd, const std::filesystem::path& file) {
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) throw_file_error("read", file, errno);
  if (S_ISDIR(status.st_mode)) throw_file_error("read", file, EISDIR);
  if (!S_ISREG(status.st_mode)) throw Error(fmt::format("{} is no file", file.string()));
  return static_cast<std::uint64_t>(status.st_size);
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& file)
    : SafetensorsFile(open_to_read(file), file) {}

SafetensorsFile::SafetensorsFile(FileDescriptor fd, std::filesystem::path name)
    : path_(std::move(name)), fd_(std::move(fd)) {
  const std::uint64_t size = size_of_regular(fd_, path_);
  std::array<std::byte, kSafetensorsHead> head{};
  const auto start = std::span(head).first(std::min<std::uint64_t>(size, head.size()));
  read_at(0, start);
  std::string text(safetensors_header_size(start, size, path_.string()), '\0');
  read_at(kPrefix, std::as_writable_bytes(std::span(text)));
  header_ = parse_safetensors_header(text, size, path_.string());
  for (std::size_t i = 0; i < tensors().size(); ++i) index_.emplace(tensors()[i].name, i);
}

const StoredTensor* SafetensorsFile::find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &header_.tensors[found->second];
}

const StoredTensor& SafetensorsFile::require(const std::string& name, DType dtype,
                                             const Shape& shape) const {
  const StoredTensor* const tensor = find(name);
  if (tensor == nullptr) {
    throw Error(fmt::format("{} has no tensor {}", path_.string(), in_quotes(name)),
                "is it the file of another model?");
  }
  if (tensor->dtype != safetensors_name(dtype) || tensor->shape != shape) {
    throw Error(fmt::format("{}: tensor {} is {}, not {} [{}]", path_.string(), in_quotes(name),
                            describe(*tensor), safetensors_name(dtype), fmt::join(shape, ", ")),
                "is it the file of another model?");
  }
  return *tensor;
}

void SafetensorsFile::read_at(std::uint64_t position, std::span<std::byte> bytes) const {
  constexpr std::size_t kLargestRead = std::size_t{1} << 30;  // macOS refuses 2 GiB.
  while (!bytes.empty()) {
    const ssize_t count = ::pread(fd_.get(), bytes.data(), std::min(bytes.size(), kLargestRead),
                                  static_cast<off_t>(position));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_file_error("read", path_, errno);
    if (count == 0) {
      throw Error(fmt::format("{} has become shorter while it was read", path_.string()),
                  "let nothing else write to it, and try again");
    }
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    position += static_cast<std::uint64_t>(count);
  }
}

void SafetensorsFile::read(const StoredTensor& tensor, std::uint64_t first,
                           std::span<std::byte> bytes) const {
  if (first > tensor.bytes || bytes.size() > tensor.bytes - first) {
    throw InvalidArgument(fmt::format("bytes outside tensor {}", in_quotes(tensor.name)));
  }
  read_at(tensor.position + first, bytes);
}

void SafetensorsFile::read_floats(const StoredTensor& tensor, std::uint64_t first,
                                  std::span<float> values) const {
  if (tensor.dtype == "F32") {
    read(tensor, first * sizeof(float), std::as_writable_bytes(values));
    return;
  }
  if (!tensor.is_float()) {
    throw InvalidArgument(fmt::format("tensor {} is {}", in_quotes(tensor.name), describe(tensor)));
  }
  const auto convert = [bf16 = tensor.dtype == "BF16"](std::uint16_t bits) {
    return bf16 ? std::bit_cast<float>(std::uint32_t{bits} << 16) : half_to_float(bits);
  };
  constexpr std::size_t kPiece = std::size_t{1} << 19;
  std::vector<std::uint16_t> piece(std::min(values.size(), kPiece));
  while (!values.empty()) {
    const auto halves = std::span(piece).first(std::min(piece.size(), values.size()));
    read(tensor, first * sizeof(std::uint16_t), std::as_writable_bytes(halves));
    std::ranges::transform(halves, values.begin(), convert);
    values = values.subspan(halves.size());
    first += halves.size();
  }
}

}  // namespace cajal::train
