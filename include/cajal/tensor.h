// A typed, shaped view of a Buffer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cajal/buffer.h"
#include "cajal/dtype.h"

namespace cajal {

using Shape = std::vector<std::int64_t>;

std::int64_t element_count(const Shape& shape);
std::string to_string(const Shape& shape);

/// Dense, row-major. A default-constructed Tensor stands for "absent" where an operation says that
/// an argument is optional.
struct Tensor {
  Buffer buffer;
  DType dtype = DType::f32;
  Shape shape;

  Tensor() = default;
  /// Throws InvalidArgument when the buffer's size is not that of the shape.
  Tensor(Buffer buffer, DType dtype, Shape shape);

  explicit operator bool() const { return static_cast<bool>(buffer); }
  std::int64_t size() const { return element_count(shape); }
  std::int64_t dim(int axis) const;  ///< A negative axis counts from the end.
  template <class T>
  T* data() const {
    return buffer.device_data<T>();
  }

  Tensor reshape(Shape new_shape) const;
  /// Rows [first, first + count) of the outermost axis.
  Tensor rows(std::int64_t first, std::int64_t count) const;
};

}  // namespace cajal
