#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>
#include <utility>

#include "cajal/error.h"
#include "train/foreign_file.h"
#include "train/in_quotes.h"
#include "train/safetensors.h"

namespace cajal::train {
namespace {

using nlohmann::json;

static_assert(kSafetensorsHead >= kForeignHead);

constexpr std::size_t kPrefix = 8;                     // The header's size, as uint64.
constexpr std::uint64_t kLargestHeader = 100'000'000;  // As in the reference implementation.
constexpr int kDeepestHeader = 3;                      // {name: {field: [number]}}
constexpr std::size_t kMostValues = 1024;              // Of one tensor: its sizes and offsets.
constexpr std::size_t kMostMetadata = 100'000;
constexpr std::string_view kMetadata = "__metadata__";

struct StoredType {
  std::string_view name;
  unsigned bits;
};
constexpr std::array<StoredType, 22> kTypes{{
    {"F32", 32},        {"BF16", 16},       {"F16", 16},    {"F64", 64},    {"I64", 64},
    {"I32", 32},        {"I16", 16},        {"I8", 8},      {"U64", 64},    {"U32", 32},
    {"U16", 16},        {"U8", 8},          {"BOOL", 8},    {"C64", 64},    {"F8_E4M3", 8},
    {"F8_E5M2", 8},     {"F8_E8M0", 8},     {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F4", 4},
    {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8},
}};

std::optional<unsigned> bits_of(std::string_view dtype) {
  const auto* const found = std::ranges::find(kTypes, dtype, &StoredType::name);
  return found == kTypes.end() ? std::nullopt : std::optional(found->bits);
}

/// Bytes of a tensor, or nothing when the number is too large to be one, or no whole number.
std::optional<std::uint64_t> byte_count(const Shape& shape, unsigned bits) {
  std::uint64_t total = bits;
  for (const std::int64_t dim : shape) {
    if (dim == 0) return 0;
  }
  for (const std::int64_t dim : shape) {
    if (__builtin_mul_overflow(total, static_cast<std::uint64_t>(dim), &total)) return std::nullopt;
  }
  return total % 8 == 0 ? std::optional(total / 8) : std::nullopt;
}

[[noreturn]] void fail(const std::string& source, std::string_view problem) {
  throw Error(fmt::format("{} is not a whole safetensors file: {}", source, problem),
              "copy or download it again");
}

class Parser {
 public:
  Parser(std::uint64_t data_begin, std::uint64_t file_size, const std::string& source)
      : data_begin_(data_begin), data_bytes_(file_size - data_begin), source_(source) {}

  SafetensorsHeader parse(std::string_view text) && {
    // Called while parsing, and throws away what it has read: the tree never holds more than one
    // tensor, and what is too deep, repeated or too much is refused before it takes memory.
    const auto take = [this](int depth, json::parse_event_t event, json& parsed) {
      return on_event(depth, event, parsed);
    };
    try {
      const json rest = json::parse(text, take);
      if (!rest.is_object()) fail("its header is no JSON object");
    } catch (const json::exception& problem) {
      fail(fmt::format("its header is no JSON ({})", in_quotes(problem.what())));
    }
    check_coverage();
    return std::move(header_);
  }

 private:
  using Event = json::parse_event_t;

  [[noreturn]] void fail(std::string_view problem) const { train::fail(source_, problem); }
  [[noreturn]] void fail(const std::string& tensor, std::string_view problem) const {
    fail(fmt::format("tensor {} {}", in_quotes(tensor), problem));
  }

  /// False drops the value from the tree.
  bool on_event(int depth, Event event, json& parsed) {
    if (depth > kDeepestHeader) fail("its header is nested too deep");
    if (depth == 1 && event == Event::key) {
      name_ = parsed.get<std::string>();
      values_ = 0;
      if (!names_.insert(name_).second) fail(name_, "stands twice in the header");
      return true;
    }
    const bool end = event == Event::object_end || event == Event::array_end;
    if (depth > 1 && !end && ++values_ > most_values()) {
      fail(name_, "has too many fields");
    }
    if (depth != 1 || (!end && event != Event::value)) return true;
    if (name_ == kMetadata) {
      read_metadata(parsed);
    } else {
      read_tensor(parsed);
    }
    return false;
  }

  std::size_t most_values() const { return name_ == kMetadata ? 2 * kMostMetadata : kMostValues; }

  /// Null is what some writers put for none.
  void read_metadata(const json& value) {
    if (value.is_null()) return;
    if (!value.is_object()) fail("its metadata is no JSON object");
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string()) fail(fmt::format("its metadata {} is no string", in_quotes(key)));
      header_.metadata.emplace(key, text.get<std::string>());
    }
  }

  void read_tensor(const json& value) {
    if (!value.is_object()) fail(name_, "is no JSON object");
    StoredTensor tensor;
    tensor.name = name_;
    const json& dtype = field(value, "dtype");
    if (!dtype.is_string()) fail(name_, "has a dtype that is no string");
    tensor.dtype = dtype.get<std::string>();
    tensor.shape = integers_of(field(value, "shape"), "shape");
    const Shape offsets = integers_of(field(value, "data_offsets"), "data_offsets");
    if (offsets.size() != 2) fail(name_, "has not two data_offsets");
    const auto begin = static_cast<std::uint64_t>(offsets[0]);
    const auto end = static_cast<std::uint64_t>(offsets[1]);
    if (begin > end || end > data_bytes_) fail(name_, "lies outside the file");
    tensor.position = data_begin_ + begin;
    tensor.bytes = end - begin;
    // Of a type that is not known the bytes are believed: nobody can ask for it.
    const auto bits = bits_of(tensor.dtype);
    if (bits && byte_count(tensor.shape, *bits) != tensor.bytes) {
      fail(name_, fmt::format("of shape [{}] and dtype {} cannot have {} bytes",
                              fmt::join(tensor.shape, ", "), tensor.dtype, tensor.bytes));
    }
    header_.tensors.push_back(std::move(tensor));
  }

  const json& field(const json& object, const char* key) const {
    const auto found = object.find(key);
    if (found == object.end()) fail(name_, fmt::format("has no {}", key));
    return *found;
  }

  Shape integers_of(const json& value, const char* key) const {
    constexpr auto kLargest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (!value.is_array()) fail(name_, fmt::format("has a {} that is no array", key));
    Shape integers;
    integers.reserve(value.size());
    for (const json& element : value) {
      // The parser gives every integer without a minus sign this type.
      if (!element.is_number_unsigned() || element.get<std::uint64_t>() > kLargest) {
        fail(name_, fmt::format("has a {} that is no list of sizes", key));
      }
      integers.push_back(static_cast<std::int64_t>(element.get<std::uint64_t>()));
    }
    return integers;
  }

  /// Sorts by position: the tensors must follow one another to the end, as the format says.
  void check_coverage() {
    std::ranges::sort(header_.tensors, [](const StoredTensor& a, const StoredTensor& b) {
      return std::pair(a.position, a.bytes) < std::pair(b.position, b.bytes);
    });
    std::uint64_t position = data_begin_;
    for (const StoredTensor& tensor : header_.tensors) {
      if (tensor.position < position) fail(tensor.name, "overlaps another one");
      if (tensor.position > position) fail(tensor.name, "leaves a gap before it");
      position += tensor.bytes;
    }
    if (position != data_begin_ + data_bytes_) fail("it has bytes that belong to no tensor");
  }

  std::uint64_t data_begin_;
  std::uint64_t data_bytes_;
  const std::string& source_;
  SafetensorsHeader header_;
  std::unordered_set<std::string> names_;
  std::string name_;        ///< What is being read.
  std::size_t values_ = 0;  ///< Of it so far.
};

}  // namespace

bool StoredTensor::is_float() const { return dtype == "F32" || dtype == "BF16" || dtype == "F16"; }

std::string describe(const StoredTensor& tensor) {
  return fmt::format("{} [{}]", bits_of(tensor.dtype) ? tensor.dtype : in_quotes(tensor.dtype),
                     fmt::join(tensor.shape, ", "));
}

std::uint64_t safetensors_header_size(std::span<const std::byte> head, std::uint64_t file_size,
                                      const std::string& source) {
  // The size may look like another format's first bytes; the brace behind it does not.
  if (head.size() <= kPrefix || head[kPrefix] != std::byte{'{'}) {
    refuse_foreign(head, source);
    if (head.size() < kPrefix) fail(source, fmt::format("it has only {} bytes", head.size()));
  }
  std::uint64_t size = 0;
  std::memcpy(&size, head.data(), kPrefix);
  if (size > kLargestHeader) fail(source, fmt::format("it claims a header of {} bytes", size));
  if (size > file_size - kPrefix) fail(source, "it ends within the header");
  if (size == 0 || head[kPrefix] != std::byte{'{'}) fail(source, "its header is no JSON object");
  return size;
}

SafetensorsHeader parse_safetensors_header(std::string_view header, std::uint64_t file_size,
                                           const std::string& source) {
  if (file_size < kPrefix + header.size()) fail(source, "it ends within the header");
  return Parser(kPrefix + header.size(), file_size, source).parse(header);
}

}  // namespace cajal::train
