#include "cajal/tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

#include "cajal/error.h"

namespace cajal {

std::int64_t element_count(const Shape& shape) {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) {
    if (extent < 0) throw InvalidArgument(fmt::format("negative extent in {}", to_string(shape)));
    if (__builtin_mul_overflow(count, extent, &count)) {
      throw InvalidArgument(fmt::format("shape {} has too many elements", to_string(shape)));
    }
  }
  return count;
}

std::string to_string(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

Tensor::Tensor(Buffer buffer_, DType dtype_, Shape shape_)
    : buffer(std::move(buffer_)), dtype(dtype_), shape(std::move(shape_)) {
  const std::size_t needed = static_cast<std::size_t>(size()) * size_of(dtype);
  if (buffer.size() != needed) {
    throw InvalidArgument(fmt::format("buffer '{}' has {} bytes, a {} tensor of {} needs {}",
                                      buffer.label(), buffer.size(), name_of(dtype),
                                      to_string(shape), needed));
  }
}

std::int64_t Tensor::dim(int axis) const {
  const int rank = static_cast<int>(shape.size());
  const int index = axis < 0 ? axis + rank : axis;
  if (index < 0 || index >= rank) {
    throw InvalidArgument(
        fmt::format("'{}' of shape {} has no axis {}", buffer.label(), to_string(shape), axis));
  }
  return shape[static_cast<std::size_t>(index)];
}

Tensor Tensor::reshape(Shape new_shape) const { return {buffer, dtype, std::move(new_shape)}; }

Tensor Tensor::rows(std::int64_t first, std::int64_t count) const {
  const std::int64_t available = dim(0);
  if (first < 0 || count < 0 || first > available - count) {
    throw InvalidArgument(fmt::format("{} rows from {} reach outside '{}' of shape {}", count,
                                      first, buffer.label(), to_string(shape)));
  }
  Shape part = shape;
  part[0] = 1;
  const auto row_bytes = static_cast<std::size_t>(element_count(part)) * size_of(dtype);
  part[0] = count;
  return {buffer.slice(static_cast<std::size_t>(first) * row_bytes,
                       static_cast<std::size_t>(count) * row_bytes),
          dtype, std::move(part)};
}

}  // namespace cajal
