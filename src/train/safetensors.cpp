#include "train/safetensors.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "cajal/error.h"
#include "train/durable_file.h"
#include "train/safetensors_layout.h"

namespace cajal::train {

namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "the format's tensors are little-endian");

constexpr std::size_t kPrefix = 8;                     // The header's size, as uint64.
constexpr std::uint64_t kLargestHeader = 100'000'000;  // As in the reference implementation.
constexpr int kDeepestHeader = 3;                      // {name: {field: [number]}}
constexpr std::string_view kMetadata = "__metadata__";

constexpr std::array kDTypes{DType::f32, DType::bf16, DType::i32};

/// In quotes, with control characters escaped: an error stays one line whatever the file holds.
std::string escaped(std::string_view text) {
  return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

/// Bytes of a tensor, or nothing when the number is too large to be one.
std::optional<std::uint64_t> byte_count(const Shape& shape, DType dtype) {
  std::uint64_t bytes = size_of(dtype);
  bool empty = false;
  for (const std::int64_t dim : shape) {
    if (dim < 0) return std::nullopt;
    if (dim == 0) empty = true;
    if (dim != 0 && __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(dim), &bytes)) {
      return std::nullopt;
    }
  }
  return empty ? 0 : bytes;
}

// ---- Reading ----

class Parser {
 public:
  explicit Parser(const std::string& source) : source_(source) {}

  SafetensorsContents parse(std::span<const std::byte> file) const {
    const std::string_view header = header_of(file);
    const auto data = file.subspan(kPrefix + header.size());
    SafetensorsContents contents;
    const json fields = parse_json(header);
    for (const auto& [name, value] : fields.items()) {
      if (name == kMetadata) {
        contents.metadata = metadata_of(value);
      } else {
        contents.arrays.push_back(array_of(name, value, data));
      }
    }
    check_coverage(contents.arrays, data);
    return contents;
  }

 private:
  [[noreturn]] void fail(std::string_view problem) const {
    throw Error(fmt::format("{} is not a whole safetensors file: {}", source_, problem),
                "copy or download it again");
  }
  [[noreturn]] void fail(const std::string& tensor, std::string_view problem) const {
    fail(fmt::format("tensor {} {}", escaped(tensor), problem));
  }

  std::string_view header_of(std::span<const std::byte> file) const {
    if (file.size() < kPrefix) fail(fmt::format("it has only {} bytes", file.size()));
    std::uint64_t size = 0;
    std::memcpy(&size, file.data(), kPrefix);
    if (size > kLargestHeader) fail(fmt::format("it claims a header of {} bytes", size));
    if (size > file.size() - kPrefix) fail("it ends within the header");
    const std::string_view header(reinterpret_cast<const char*>(file.data()) + kPrefix, size);
    if (!header.starts_with('{')) fail("its header is no JSON object");
    return header;
  }

  json parse_json(std::string_view header) const {
    std::set<std::string> names;
    // Called while parsing: a deep or repeated header is refused before it takes memory.
    const auto check = [&](int depth, json::parse_event_t event, json& parsed) {
      if (depth > kDeepestHeader) fail("its header is nested too deep");
      if (depth == 1 && event == json::parse_event_t::key) {
        const auto& name = parsed.get_ref<const std::string&>();
        if (!names.insert(name).second) fail(name, "stands twice in the header");
      }
      return true;
    };
    try {
      return json::parse(header, check);
    } catch (const json::exception& problem) {
      fail(fmt::format("its header is no JSON ({})", escaped(problem.what())));
    }
  }

  std::map<std::string, std::string> metadata_of(const json& value) const {
    if (!value.is_object()) fail("its metadata is no JSON object");
    std::map<std::string, std::string> metadata;
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string()) fail(fmt::format("its metadata {} is no string", escaped(key)));
      metadata.emplace(key, text.get<std::string>());
    }
    return metadata;
  }

  NamedArray array_of(const std::string& name, const json& value,
                      std::span<const std::byte> data) const {
    if (!value.is_object()) fail(name, "is no JSON object");
    NamedArray array;
    array.name = name;
    array.dtype = dtype_of(name, field(name, value, "dtype"));
    array.shape = integers_of<Shape>(name, field(name, value, "shape"), "shape");
    const auto offsets = integers_of<std::vector<std::int64_t>>(
        name, field(name, value, "data_offsets"), "data_offsets");
    if (offsets.size() != 2) fail(name, "has not two data_offsets");
    const auto begin = static_cast<std::uint64_t>(offsets[0]);
    const auto end = static_cast<std::uint64_t>(offsets[1]);
    if (begin > end || end > data.size()) fail(name, "lies outside the file");
    const auto expected = byte_count(array.shape, array.dtype);
    if (expected != end - begin) {
      fail(name,
           fmt::format("of shape [{}] and dtype {} cannot have {} bytes",
                       fmt::join(array.shape, ", "), safetensors_name(array.dtype), end - begin));
    }
    array.bytes = data.subspan(begin, end - begin);
    return array;
  }

  const json& field(const std::string& name, const json& object, const char* key) const {
    const auto found = object.find(key);
    if (found == object.end()) fail(name, fmt::format("has no {}", key));
    return *found;
  }

  DType dtype_of(const std::string& name, const json& value) const {
    if (!value.is_string()) fail(name, "has a dtype that is no string");
    for (const DType dtype : kDTypes) {
      if (value.get_ref<const std::string&>() == safetensors_name(dtype)) return dtype;
    }
    throw Error(fmt::format("{}: tensor {} has dtype {}, which cajal does not read", source_,
                            escaped(name), value.dump()),
                "convert it to F32, BF16 or I32");
  }

  template <class Integers>
  Integers integers_of(const std::string& name, const json& value, const char* key) const {
    constexpr auto kLargest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (!value.is_array()) fail(name, fmt::format("has a {} that is no array", key));
    Integers integers;
    integers.reserve(value.size());
    for (const json& element : value) {
      // The parser gives every integer without a minus sign this type.
      if (!element.is_number_unsigned() || element.get<std::uint64_t>() > kLargest) {
        fail(name, fmt::format("has a {} that is no list of sizes", key));
      }
      integers.push_back(static_cast<std::int64_t>(element.get<std::uint64_t>()));
    }
    return integers;
  }

  /// Sorts by position: the tensors must follow one another to the end, as the format says.
  void check_coverage(std::vector<NamedArray>& arrays, std::span<const std::byte> data) const {
    std::ranges::sort(arrays, [](const NamedArray& a, const NamedArray& b) {
      return std::pair(a.bytes.data(), a.bytes.size()) < std::pair(b.bytes.data(), b.bytes.size());
    });
    const std::byte* position = data.data();
    for (const NamedArray& array : arrays) {
      if (array.bytes.data() < position) fail(array.name, "overlaps another one");
      if (array.bytes.data() > position) fail(array.name, "leaves a gap before it");
      position += array.bytes.size();
    }
    if (position != data.data() + data.size()) fail("it has bytes that belong to no tensor");
  }

  const std::string& source_;
};

struct Mapping {
  const void* address = nullptr;
  std::size_t size = 0;

  Mapping(const FileDescriptor& fd, const std::filesystem::path& file) {
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) throw_file_error("read", file, errno);
    if (S_ISDIR(status.st_mode)) throw_file_error("read", file, EISDIR);
    if (!S_ISREG(status.st_mode)) throw Error(fmt::format("{} is no file", file.string()));
    if (status.st_size == 0) return;  // Cannot be mapped; the parser says what is wrong.
    size = static_cast<std::size_t>(status.st_size);
    void* const mapped = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (mapped == MAP_FAILED) throw_file_error("map", file, errno);
    address = mapped;
  }
  ~Mapping() {
    if (address != nullptr) ::munmap(const_cast<void*>(address), size);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  std::span<const std::byte> bytes() const {
    return {static_cast<const std::byte*>(address), size};
  }
};

}  // namespace

void write_safetensors(const std::filesystem::path& file, const std::vector<NamedArray>& arrays,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<ArrayInfo> infos;
  for (const NamedArray& array : arrays) infos.push_back({array.name, array.dtype, array.shape});
  const SafetensorsLayout layout = lay_out_safetensors(infos, metadata);
  for (const SafetensorsLayout::Place& place : layout.places) {
    const NamedArray& array = arrays[place.array];
    if (place.bytes == array.bytes.size()) continue;
    throw InvalidArgument(fmt::format("tensor {} of shape [{}] and dtype {} given {} bytes",
                                      escaped(array.name), fmt::join(array.shape, ", "),
                                      safetensors_name(array.dtype), array.bytes.size()));
  }
  AtomicFile out(file);
  out.write(layout.header);
  for (const SafetensorsLayout::Place& place : layout.places) {
    out.write(arrays[place.array].bytes);
  }
  out.commit();
}

SafetensorsContents parse_safetensors(std::span<const std::byte> file, const std::string& source) {
  return Parser(source).parse(file);
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& file) : path_(file) {
  // Without O_NONBLOCK a named pipe would hang here.
  const FileDescriptor fd = open_file(file, O_RDONLY | O_NONBLOCK, "read");
  const auto mapping = std::make_shared<const Mapping>(fd, file);
  mapping_ = mapping;
  auto contents = parse_safetensors(mapping->bytes(), file.string());
  arrays_ = std::move(contents.arrays);
  metadata_ = std::move(contents.metadata);
  for (std::size_t i = 0; i < arrays_.size(); ++i) index_.emplace(arrays_[i].name, i);
}

bool SafetensorsFile::contains(const std::string& name) const { return index_.contains(name); }

const NamedArray& SafetensorsFile::require(const std::string& name, DType dtype,
                                           const Shape& shape) const {
  const auto found = index_.find(name);
  if (found == index_.end()) {
    throw Error(fmt::format("{} has no tensor {}", path_.string(), escaped(name)),
                "is it the file of another model?");
  }
  const NamedArray& array = arrays_[found->second];
  if (array.dtype != dtype || array.shape != shape) {
    throw Error(fmt::format("{}: tensor {} is {} [{}], not {} [{}]", path_.string(), escaped(name),
                            safetensors_name(array.dtype), fmt::join(array.shape, ", "),
                            safetensors_name(dtype), fmt::join(shape, ", ")),
                "is it the file of another model?");
  }
  return array;
}

}  // namespace cajal::train
